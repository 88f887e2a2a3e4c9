// RunLedger
