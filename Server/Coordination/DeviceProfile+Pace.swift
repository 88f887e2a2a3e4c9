// Apache-2.0.
import WireProtocol

/// Batches with which unequal devices are done at the same time.
extension DeviceProfile {
  /// Nanoseconds that one more example of a batch takes: on a straight line between the two that were
  /// measured, or all of a step where it was one.
  private var slope: Double {
    guard batchSize > 1 else { return Double(longStep) }
    return max(0, Double(longStep) - Double(shortStep)) / Double(batchSize - 1)
  }

  /// Nanoseconds of a step on so many examples.
  func step(examples: Int) -> Double {
    Double(batchSize > 1 ? shortStep : longStep) + slope * Double(examples - 1)
  }

  /// The largest batch that the device has room for and whose step is done within a time; 1 at least.
  func batch(within nanoseconds: Double) -> UInt32 {
    // A step within a thousandth of it is within it: times are measured.
    let room = nanoseconds * 1.001 - step(examples: 1)
    guard slope > 0, room < slope * Double(batchSize) else { return batchSize }
    return max(1, min(batchSize, UInt32(max(0, room / slope)) + 1))
  }
}
