// Apache-2.0.

/// A reader of bytes that others made, and what must hold of it whatever the bytes are.
public struct FuzzTarget: Sendable {
  /// Its name, and that of its folder in Tests/Fuzz/corpus.
  public let name: String
  /// Reads the bytes; traps where something does not hold.
  public let body: @Sendable ([UInt8]) -> Void

  /// A target.
  public init(_ name: String, _ body: @escaping @Sendable ([UInt8]) -> Void) {
    self.name = name
    self.body = body
  }
}

/// All targets: one file and one line each.
public let fuzzTargets: [FuzzTarget] = [
  jsonFuzzTarget,
  safetensorsFuzzTarget,
  tokenizerFuzzTarget,
  textFuzzTarget,
  frameFuzzTarget,
  certificateFuzzTarget,
  tokenFuzzTarget,
  messageFuzzTarget,
  transferFuzzTarget,
  rowsFuzzTarget,
  imageFuzzTarget,
  arraysFuzzTarget,
  deltaFuzzTarget,
  payloadFuzzTarget,
]
