// Apache-2.0.
import Glibc

/// Rotary frequencies of a configuration: plain, linear and Llama 3 scaling.
struct RotaryTable: Sendable {
  /// Frequency of each pair, binary32 as transformers computes it.
  private let frequencies: [Float]

  init(_ settings: ModelSettings, headDimension: Int) throws(ModelError) {
    // transformers 5 gathers everything under rope_parameters.
    let parameters = settings.section("rope_parameters")
    let scaling = parameters ?? settings.section("rope_scaling")
    let theta = try (parameters ?? settings).number(
      "rope_theta",
      default: settings.number("rope_theta", default: 10_000)
    )
    guard theta > 0 else { throw .configuration("rope_theta is \(theta)") }
    for owner in [settings, scaling] {
      let share = try owner?.number("partial_rotary_factor", default: 1) ?? 1
      guard share == 1 else {
        throw .unsupported(key: "partial_rotary_factor", value: "\(share)")
      }
    }
    let plain = (0..<headDimension / 2).map { pair in
      1 / Float(pow(theta, Double(Float(2 * pair) / Float(headDimension))))
    }
    let kind =
      try scaling?.string("rope_type", default: scaling?.string("type", default: "default"))
      ?? "default"
    switch (kind, scaling) {
    case ("default", _): frequencies = plain
    case ("linear", let scaling?):
      let factor = try Self.positive(scaling, "factor")
      frequencies = plain.map { $0 / Float(factor) }
    case ("llama3", let scaling?): frequencies = try Self.llama3(plain, scaling)
    default: throw .unsupported(key: "rope_type", value: "\"\(kind)\"")
    }
  }

  private static func positive(
    _ settings: ModelSettings,
    _ key: String
  ) throws(ModelError) -> Double {
    let value = try settings.number(key)
    guard value > 0 else { throw .configuration("\(key) is \(value)") }
    return value
  }

  /// Low frequencies divided by `factor`, high ones as they are, a ramp between.
  private static func llama3(
    _ plain: [Float],
    _ settings: ModelSettings
  ) throws(ModelError) -> [Float] {
    let factor = Float(try positive(settings, "factor"))
    let low = Float(try positive(settings, "low_freq_factor"))
    let high = Float(try positive(settings, "high_freq_factor"))
    let length = Float(try positive(settings, "original_max_position_embeddings"))
    guard high > low else { throw .configuration("high_freq_factor is not above low_freq_factor") }
    return plain.map { frequency in
      let wavelength = 2 * Float.pi / frequency
      if wavelength < length / high { return frequency }
      if wavelength > length / low { return frequency / factor }
      let smooth = (length / wavelength - low) / (high - low)
      return (1 - smooth) * (frequency / factor) + smooth * frequency
    }
  }

  /// Cosines and sines [positions, D/2].
  func tables(positions: Int) -> (cosines: [Float], sines: [Float]) {
    var cosines: [Float] = []
    var sines: [Float] = []
    cosines.reserveCapacity(positions * frequencies.count)
    sines.reserveCapacity(positions * frequencies.count)
    for position in 0..<positions {
      for frequency in frequencies {
        let angle = Double(Float(position) * frequency)
        cosines.append(Float(cos(angle)))
        sines.append(Float(sin(angle)))
      }
    }
    return (cosines, sines)
  }
}
