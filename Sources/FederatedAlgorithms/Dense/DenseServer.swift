// Apache-2.0.
import CKernels
import Codecs
import FederatedCore
import Synchronization

/// The server's half of the dense methods: contributions become one mean, and that a step.
///
/// The mean is an exact sum of integers; the step is binary64, one operation after another, and ends in
/// integers again. Chunk by chunk, on every core: each holds 65,536 elements of one contribution at a
/// time.
struct DenseServer: Sendable, Equatable {
  /// How contributions become one.
  enum Fold: Sendable, Equatable {
    /// By their weights.
    case mean
    /// Without that share of the least and of the greatest of each element (Yin et al., 2018); 0.5 is
    /// the median. All others count alike.
    case trimmed(Double)
  }

  let fold: Fold
  /// Whether steps are made equal (FedNova).
  let normalizes: Bool
  /// Length that a contribution is scaled down to, 0 for none.
  private let normBound: Double
  private let rule: UInt32
  private let rate: Double
  private let beta1: Double
  private let beta2: Double
  private let tau: Double
  /// Moments of the optimiser, empty before the first fold and where it has none.
  private var first: [Double] = []
  private var second: [Double] = []

  static let keys = [
    "server", "server_rate", "server_beta1", "server_beta2", "server_tau", "normalize", "fold",
    "trim", "norm_bound",
  ]
  private static let rules = ["average", "momentum", "adam", "yogi"]
  /// A whole weight is 2^(16+4): four bits more for weights that are scaled down.
  private static let weightBits = 4
  private static let whole = Int64(Contribution.aggregationWeight) << 4

  init(_ settings: AlgorithmSettings, preset: DensePreset) throws(AlgorithmError) {
    let name = try settings.word("server", of: Self.rules, standard: preset.server)
    rule = UInt32(Self.rules.firstIndex(of: name) ?? 0)
    let isAdaptive = name == "adam" || name == "yogi"
    rate = try settings.number("server_rate", in: 1e-9...100, standard: isAdaptive ? 0.1 : 1)
    beta1 = try settings.number("server_beta1", in: 0...0.9999, standard: 0.9)
    beta2 = try settings.number("server_beta2", in: 0...0.99999, standard: 0.99)
    tau = try settings.number("server_tau", in: 1e-9...1, standard: 1e-3)
    normalizes = try settings.flag("normalize", standard: preset.normalizes)
    normBound = try settings.number("norm_bound", in: 0...1e9, standard: 0)
    switch try settings.word("fold", of: ["mean", "median", "trimmed"]) {
    case "median": fold = .trimmed(0.5)
    case "trimmed": fold = .trimmed(try settings.number("trim", in: 0...0.49, standard: 0.2))
    default: fold = .mean
    }
    if fold != .mean, normalizes {
      throw .setting("normalize", "an order of values knows no weights; use fold: \"mean\"")
    }
  }

  /// The integers after the step that these contributions make from `integers`.
  ///
  /// - Parameters:
  ///   - exponent: units of the contributions are 2^−exponent.
  ///   - scaleExponent: units of the integers are 2^−scaleExponent.
  mutating func step(
    from integers: [Int32],
    by contributions: [(contribution: Contribution, payload: DeltaPayload)],
    exponent: Int,
    scaleExponent: Int
  ) throws -> [Int32] {
    let factors = try factors(contributions, exponent: exponent)
    makeMoments(count: integers.count)
    var step = samara_server_step()
    step.rule = Int32(rule)
    step.bound = DenseState.bound
    step.unit = Double(sign: .plus, exponent: -(16 + Self.weightBits + exponent), significand: 1)
    step.scale = Double(sign: .plus, exponent: scaleExponent, significand: 1)
    (step.rate, step.beta1, step.beta2, step.tau) = (rate, beta1, beta2, tau)
    let payloads = contributions.map(\.payload)
    let fold = fold
    return try apply(step, to: integers) { chunk, sums throws(CodecError) in
      switch fold {
      case .mean: try Self.mean(payloads, factors, chunk, into: &sums)
      case .trimmed(let share): try Self.trimmed(payloads, share, chunk, into: &sums)
      }
    }
  }

  private mutating func makeMoments(count: Int) {
    if rule != 0, first.isEmpty { first = [Double](repeating: 0, count: count) }
    // As the paper: the second moment begins at τ².
    if rule > 1, second.isEmpty { second = [Double](repeating: tau * tau, count: count) }
  }

  /// Appends the first and the second moments: each 0, or 1 and a binary64 for each element.
  func encodeMoments(into writer: inout ByteWriter) {
    for moments in [first, second] {
      writer.write(UInt8(moments.isEmpty ? 0 : 1))
      // SAFETY: numbers have no padding; every machine this runs on is little-endian.
      unsafe moments.withUnsafeBytes { unsafe writer.write(bytes: $0) }
    }
  }

  /// Takes over what `encodeMoments` wrote.
  mutating func decodeMoments(_ reader: inout ByteReader, count: Int) throws(CodecError) {
    func moments() throws(CodecError) -> [Double] {
      guard try reader.read(UInt8.self) == 1 else { return [] }
      guard reader.remaining >= 8 * count else {
        throw .malformed(field: "moments", reason: "fewer than \(count)")
      }
      var moments: [Double] = []
      moments.reserveCapacity(count)
      for _ in 0..<count { moments.append(Double(bitPattern: try reader.read(UInt64.self))) }
      return moments
    }
    first = try moments()
    second = try moments()
  }

  /// Makes the step chunk by chunk with the sums that `sum` adds up.
  private mutating func apply(
    _ step: samara_server_step,
    to integers: [Int32],
    _ sum: (_ chunk: Int, _ sums: inout MutableSpan<Int64>) throws(CodecError) -> Void
  ) throws(CodecError) -> [Int32] {
    let size = DeltaCodec.chunkSize
    let count = integers.count
    let chunks = (count + size - 1) / size
    // An order of values holds a chunk of every contribution: one at a time.
    let isShared = fold == .mean
    var failure: CodecError?
    // SAFETY: each chunk has elements of its own, of every array that the rule reads.
    let after = unsafe [Int32](unsafeUninitializedCapacity: count) { after, initialized in
      unsafe integers.withUnsafeBufferPointer { integers in
        unsafe first.withUnsafeMutableBufferPointer { first in
          unsafe second.withUnsafeMutableBufferPointer { second in
            func one(_ chunk: Int) throws(CodecError) {
              let start = chunk * size
              let length = min(size, count - start)
              var sums = [Int64](repeating: 0, count: length)
              var span = sums.mutableSpan
              try sum(chunk, &span)
              guard let from = integers.baseAddress, let to = after.baseAddress else { return }
              unsafe (to + start).initialize(from: from + start, count: length)
              var step = step
              unsafe samara_kernels().pointee.server_step(
                &step,
                sums,
                to + start,
                first.baseAddress.map { unsafe $0 + start },
                second.baseAddress.map { unsafe $0 + start },
                Int64(length)
              )
            }
            do throws(CodecError) {
              if isShared {
                try ChunkTeam.run(chunks, one)
              } else {
                for chunk in 0..<chunks { try one(chunk) }
              }
              initialized = count
            } catch { failure = error }
          }
        }
      }
    }
    if let failure { throw failure }
    return after
  }

  private static func mean(
    _ payloads: [DeltaPayload],
    _ factors: [Int32],
    _ chunk: Int,
    into sums: inout MutableSpan<Int64>
  ) throws(CodecError) {
    var amounts = [Int32](repeating: 0, count: sums.count)
    for (index, payload) in payloads.enumerated() {
      try payload.decode(chunk, into: &amounts)
      IntegerKernels.accumulate(amounts.span, factor: factors[index], into: &sums)
    }
  }

  private static func trimmed(
    _ payloads: [DeltaPayload],
    _ share: Double,
    _ chunk: Int,
    into sums: inout MutableSpan<Int64>
  ) throws(CodecError) {
    guard !payloads.isEmpty else { return }
    let count = sums.count
    var rows: [Int32] = []
    rows.reserveCapacity(payloads.count * count)
    var amounts = [Int32](repeating: 0, count: count)
    for payload in payloads {
      try payload.decode(chunk, into: &amounts)
      rows.append(contentsOf: amounts)
    }
    // The median of an even number is the mean of the two in the middle.
    let dropped = min(Int(share * Double(payloads.count)), (payloads.count - 1) / 2)
    IntegerKernels.trimmedSums(rows, stride: count, dropped: dropped, into: &sums)
    let kept = Int64(payloads.count - 2 * dropped)
    for index in 0..<count {
      // Rounded half up: floor((2·sum·whole + kept) / (2·kept)).
      let (quotient, remainder) = (2 * sums[index] * whole + kept)
        .quotientAndRemainder(dividingBy: 2 * kept)
      sums[index] = remainder < 0 ? quotient - 1 : quotient
    }
  }

  /// Weights in units of 2^−20: of equal steps with FedNova, of bounded length with a norm bound.
  private func factors(
    _ contributions: [(contribution: Contribution, payload: DeltaPayload)],
    exponent: Int
  ) throws -> [Int32] {
    var weighted: Int64 = 0
    var total: Int64 = 0
    for (contribution, _) in contributions {
      weighted += Int64(contribution.weight) * Int64(contribution.task.steps)
      total += Int64(contribution.weight)
    }
    var sum: Int64 = 0
    return try contributions.map { contribution, payload in
      var factor = Int64(contribution.weight) << Self.weightBits
      if normalizes, total > 0 {
        // w · Q_eff / Q with Q_eff = Σ w·Q / Σ w, to the nearest.
        let divisor = Int128(total) * Int128(contribution.task.steps)
        factor = Int64((Int128(factor) * Int128(weighted) + divisor / 2) / divisor)
      }
      if normBound > 0 {
        let squares = try Self.squaredNorm(payload)
        let norm =
          squares.squareRoot() * Double(sign: .plus, exponent: -exponent, significand: 1)
        if norm > normBound { factor = Int64((Double(factor) * normBound / norm).rounded(.down)) }
      }
      // Amounts are below 2^31: sums stay below 2^63.
      sum += factor
      guard let small = Int32(exactly: factor), sum < 1 << 32 else {
        throw AlgorithmError.payload(
          client: contribution.task.client,
          round: contribution.task.round,
          "the weights of this aggregation are past 2^12"
        )
      }
      return small
    }
  }

  /// Σ amount² of all chunks, one after another.
  private static func squaredNorm(_ payload: DeltaPayload) throws(CodecError) -> Double {
    let parts = Mutex([Double](repeating: 0, count: payload.chunkCount))
    try ChunkTeam.run(payload.chunkCount) { chunk throws(CodecError) in
      var amounts = [Int32](repeating: 0, count: payload.range(of: chunk).count)
      try payload.decode(chunk, into: &amounts)
      let squares = IntegerKernels.squaredNorm(amounts.span)
      parts.withLock { $0[chunk] = squares }
    }
    return parts.withLock { $0.reduce(0, +) }
  }
}
