// Apache-2.0.
public import FederatedCore
import Glibc
import SharedRandomness

/// How fast a simulated client is and when it is lost.
///
/// Every number comes from the client's own stream of the purpose `device`, so that two runs that
/// differ in algorithm or schedule meet identical luck.
public struct DeviceModel: Sendable {
  private let settings: SimulationSection
  private let key: UInt64

  /// Devices of a run.
  ///
  /// - Parameter key: Philox key of the run.
  public init(_ settings: SimulationSection, key: UInt64) {
    self.settings = settings
    self.key = key
  }

  /// Virtual time of one local step of a client.
  ///
  /// Log-uniform: the slowest client of all takes `speed_spread` times as long as the fastest.
  public func stepTime(of client: Int) -> Duration {
    var stream = RandomStream(key: key, purpose: .device, client: UInt32(client), step: 0)
    let place = Double(stream.next32()) * 0x1p-32 - 0.5
    let factor = pow(settings.speedSpread, place)
    return .nanoseconds(Int64((settings.stepSeconds * factor * 1e9).rounded()))
  }

  /// The share of a task after which the client's connection is lost, nil where it is not.
  public func loss(of client: Int, round: UInt32) -> Double? {
    guard settings.dropout > 0 else { return nil }
    var stream = RandomStream(
      key: key,
      purpose: .device,
      round: round,
      client: UInt32(client),
      step: 1
    )
    guard Double(stream.next32()) * 0x1p-32 < settings.dropout else { return nil }
    return Double(stream.next32()) * 0x1p-32
  }
}
