// Apache-2.0.
import Codecs
import FederatedCore
import SharedRandomness

/// The two-point step that the seed methods share, and the integers its scalars become.
///
/// g = (L(w + εz) − L(w − εz)) / (2ε), clipped to |g| ≤ c, sent as one byte, and the local weights
/// move by −η times the value that was sent (Malladi et al., MeZO, 2023; Qin et al., FedKSeed, 2024).
struct ZerothOrderStep: Sendable, Equatable {
  /// Half the distance between the two probes, ε.
  let epsilon: Float
  /// Step size, η; constant for a run.
  let learningRate: Double
  /// Bound of |g|.
  let clip: Float
  /// Units of the integers are 2^−scaleExponent; a scalar at the clip is at least 2^17 of them and
  /// at most 2^18.
  let scaleExponent: Int
  /// Amount of each byte: −η · value · 2^scaleExponent, rounded to nearest.
  private let amounts: [Int32]

  static let keys = ["epsilon", "learning_rate", "clip"]
  /// Local steps of one task: with 2^18 units a step, one round stays below 2^31.
  static let maximumSteps = 4096
  private static let unitsAtClip = 0x1p18

  init(_ settings: AlgorithmSettings) throws(AlgorithmError) {
    epsilon = Float(try settings.number("epsilon", in: 1e-8...1, standard: 1e-3))
    learningRate = try settings.number("learning_rate", in: 1e-12...100, standard: 1e-6)
    let largest = Double(OneByteCode.largestMagnitude)
    let bound = try settings.number("clip", in: 0.001...largest, standard: 100)
    clip = Float(bound)
    // The exponent of a binary64 is the floor of its logarithm, without a mathematics library.
    // Its bounds are 0 and 68 for the bounds of rate and clip.
    scaleExponent = Int((Self.unitsAtClip / (learningRate * bound)).exponent)
    let unit = Double(sign: .plus, exponent: scaleExponent, significand: 1)
    let rate = learningRate
    amounts = (UInt8.min...UInt8.max).map { byte in
      let exact = -rate * Double(OneByteCode(byte: byte).value) * unit
      // Bytes past the clip never arrive: `check` refuses them.
      return Int32(min(max(exact.rounded(.toNearestOrEven), -0x1p30), 0x1p30))
    }
  }

  /// The integer that `byte` stands for.
  func amount(of byte: UInt8) -> Int32 { amounts[Int(byte)] }

  /// Whether `train` could have sent `byte`: its value is within the clip, rounded up once.
  func allows(_ byte: UInt8) -> Bool {
    abs(OneByteCode(byte: byte).value) <= clip * 1.1225
  }

  /// The client's half.
  ///
  /// - Parameter moves: whether the weights follow each scalar, or all are measured at one place.
  func train(
    _ task: LocalTask,
    key: UInt64,
    on trainer: inout any LocalTrainer,
    moves: Bool = true,
    direction: (UInt32) -> Direction
  ) throws -> LocalResult {
    var payload: [UInt8] = []
    payload.reserveCapacity(task.steps)
    var lossSum = 0.0
    var clipped = 0
    var skipped = 0
    for step in 0..<UInt32(task.steps) {
      let address = StepAddress(round: task.round, client: task.client, step: step)
      let along = direction(step)
      let losses = try trainer.probe(along, epsilon: epsilon, at: address)
      let slope = (losses.plus - losses.minus) / (2 * epsilon)
      guard slope.isFinite else {
        skipped += 1
        payload.append(OneByteCode.skipped.byte)
        continue
      }
      lossSum += (Double(losses.plus) + Double(losses.minus)) / 2
      if slope.magnitude > clip { clipped += 1 }
      var rounding = RandomStream(
        key: key,
        purpose: .rounding,
        round: task.round,
        client: task.client,
        step: step
      )
      let code = try OneByteCode(min(max(slope, -clip), clip), random: rounding.next32())
      payload.append(code.byte)
      if moves, code.value != 0 {
        try trainer.move(along: along, by: Float(-learningRate * Double(code.value)))
      }
    }
    let counted = task.steps - skipped
    return LocalResult(
      payload: payload,
      meanLoss: counted > 0 ? Float(lossSum / Double(counted)) : .nan,
      skippedSteps: skipped,
      clippedSteps: clipped
    )
  }

  /// Refuses a payload of another length or with scalars past the clip.
  func check(_ payload: [UInt8], for task: LocalTask) throws(AlgorithmError) {
    guard task.steps > 0, task.steps <= Self.maximumSteps else {
      throw .payload(
        client: task.client,
        round: task.round,
        "\(task.steps) steps; a task has 1 to \(Self.maximumSteps)"
      )
    }
    guard payload.count == task.steps else {
      throw .payload(
        client: task.client,
        round: task.round,
        "\(payload.count) bytes for \(task.steps) steps"
      )
    }
    if let step = payload.firstIndex(where: { !allows($0) }) {
      throw .payload(
        client: task.client,
        round: task.round,
        "the scalar of step \(step) is past the clip of \(clip)"
      )
    }
  }
}
