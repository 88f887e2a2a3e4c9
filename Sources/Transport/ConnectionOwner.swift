// Apache-2.0.
import WireProtocol

/// What a connection asks and tells its owner, on the loop's thread.
protocol ConnectionOwner: AnyObject {
  /// TLS is set up: who is this?
  func recognise(_ connection: Connection, _ certificate: Certificate?) -> Recognition
  /// A frame for enrolment or renewal has come.
  func control(_ connection: Connection, _ kind: ConnectionFrame, _ body: [UInt8])
  /// Bytes have moved on the wire.
  func moved(_ bytes: Traffic)
  /// Something to tell the program.
  func tell(_ connection: Connection, _ event: TransportEvent)
  /// The connection is gone; told once.
  func ended(_ connection: Connection, _ reason: CloseReason)
}

/// Who a peer is found to be.
enum Recognition {
  /// It may talk; the greatest bodies of the kinds it may send.
  case known(PeerIdentity, limit: @Sendable (UInt8) -> Int?, transfers: TransferTerms?)
  /// It may not.
  case refused(Goodbye)
}
