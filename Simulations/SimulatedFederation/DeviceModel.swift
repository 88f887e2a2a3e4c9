// Apache-2.0.
public import FederatedCore
import Glibc
import SharedRandomness

/// How fast a simulated client is, how long its messages take and when it is away.
///
/// Every number comes from a stream of its own of the purpose `device`, named by the client and by
/// what it is for, so that two runs that differ in algorithm or schedule meet identical luck.
public struct DeviceModel: Sendable {
  private let settings: DeviceSection
  private let key: UInt64

  private enum Use: UInt32 {
    case speed
    case loss
    case noise
    case presence
  }

  /// Devices of a run.
  ///
  /// - Parameter key: Philox key of the run.
  public init(_ settings: DeviceSection, key: UInt64) {
    self.settings = settings
    self.key = key
  }

  /// Mean virtual seconds of one local step of a client.
  public func stepTime(of client: Int) -> Double {
    var stream = stream(client, .speed)
    let factor =
      switch settings.speeds {
      case .equal: 1.0
      case .normal: max(0.1, 1 + settings.spread * stream.normal())
      case .exponential: max(0.01, -log(1 - stream.unit()))
      case .lognormal: exp(settings.spread * stream.normal())
      case .loguniform: pow(settings.spread, stream.unit() - 0.5)
      }
    return settings.stepSeconds * factor
  }

  /// Mean virtual seconds of a local step on another batch than the run's.
  public func stepTime(of client: Int, examples: Int, ofBatch whole: Int) -> Double {
    let share = Double(examples) / Double(max(1, whole))
    return stepTime(of: client) * (settings.overhead + (1 - settings.overhead) * share)
  }

  /// Bytes a client has for training, nil for no bound.
  public func memory(of client: Int) -> Int? {
    settings.memory.isEmpty ? nil : settings.memory[client % settings.memory.count]
  }

  /// Virtual time of a task of a client whose mean step takes `stepTime`.
  public func duration(of client: Int, round: UInt32, steps: Int, stepTime: Double) -> Duration {
    var factor = 1.0
    if settings.noise > 0 {
      var stream = stream(client, .noise, round: round)
      factor = max(0.1, 1 + settings.noise * stream.normal())
    }
    return .virtual(stepTime * Double(steps) * factor)
  }

  /// The share of a task after which the client's connection is lost, nil where it is not.
  public func loss(of client: Int, round: UInt32) -> Double? {
    guard settings.dropout > 0 else { return nil }
    var stream = stream(client, .loss, round: round)
    guard stream.unit() < settings.dropout else { return nil }
    return stream.unit()
  }

  /// When a message is there: one after another on each way of a link, which is free after `free`.
  func arrival(of body: [UInt8], after free: Duration?, now: Duration) -> Duration {
    max(now, free ?? .zero) + transfer(bytes: body.count)
  }

  /// How long a message of so many bytes is on its way.
  public func transfer(bytes: Int) -> Duration {
    let pipe = settings.bandwidth > 0 ? Double(bytes) / settings.bandwidth : 0
    return .virtual(settings.latency + pipe)
  }

  /// How long the client's `period`th stretch of being there, or away, lasts; nil for ever.
  public func stretch(of client: Int, period: UInt32, isOnline: Bool) -> Duration? {
    guard settings.online > 0 else { return nil }
    var stream = stream(client, .presence, round: period)
    if !isOnline { _ = stream.unit() }
    let mean = isOnline ? settings.online : settings.offline
    return .virtual(max(1e-3, -mean * log(1 - stream.unit())))
  }

  private func stream(_ client: Int, _ use: Use, round: UInt32 = 0) -> RandomStream {
    RandomStream(
      key: key,
      purpose: .device,
      round: round,
      client: UInt32(client),
      step: use.rawValue
    )
  }
}

extension RandomStream {
  /// A number in [0, 1).
  fileprivate mutating func unit() -> Double { Double(next32()) * 0x1p-32 }

  /// A number of the standard normal distribution (Box and Muller, 1958).
  fileprivate mutating func normal() -> Double {
    let radius = (-2 * log(1 - unit())).squareRoot()
    return radius * cos(2 * Double.pi * unit())
  }
}

extension Duration {
  /// So many seconds to the nanosecond: coarse enough that no mathematics library decides an order.
  static func virtual(_ seconds: Double) -> Duration {
    .nanoseconds(Int64(min(seconds, 9e9) * 1e9))
  }
}
