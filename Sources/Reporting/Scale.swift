// Apache-2.0.
import Glibc

/// From numbers to places on an axis, with ticks at round numbers.
struct Scale {
  let domain: ClosedRange<Double>
  let range: ClosedRange<Double>
  /// Whether larger numbers lie at smaller places.
  let isFlipped: Bool
  let isLogarithmic: Bool

  init(
    _ values: [Double],
    to range: ClosedRange<Double>,
    isFlipped: Bool = false,
    isLogarithmic: Bool = false
  ) {
    let finite = values.filter { $0.isFinite && (!isLogarithmic || $0 > 0) }
    let low = finite.min() ?? (isLogarithmic ? 1 : 0)
    let high = finite.max() ?? low
    domain = low...(high > low ? high : low + (low == 0 ? 1 : abs(low) * 0.1))
    self.range = range
    self.isFlipped = isFlipped
    self.isLogarithmic = isLogarithmic
  }

  /// The same with room at both ends, up to the next round numbers.
  func rounded(_ wanted: Int) -> Scale {
    guard !isLogarithmic, let step = step(wanted) else { return self }
    let low = (domain.lowerBound / step + 1e-9).rounded(.down) * step
    let high = (domain.upperBound / step - 1e-9).rounded(.up) * step
    return Scale([low, high], to: range, isFlipped: isFlipped)
  }

  /// The place of a number.
  func place(_ value: Double) -> Double {
    func map(_ value: Double) -> Double { isLogarithmic ? log10(max(value, 1e-300)) : value }
    let share =
      (map(value) - map(domain.lowerBound)) / (map(domain.upperBound) - map(domain.lowerBound))
    let width = range.upperBound - range.lowerBound
    return isFlipped ? range.upperBound - share * width : range.lowerBound + share * width
  }

  /// Round numbers within the domain, about as many as wanted.
  func ticks(_ wanted: Int) -> [Double] {
    if isLogarithmic {
      let first = Int(log10(domain.lowerBound).rounded(.up))
      let last = Int(log10(domain.upperBound).rounded(.down))
      if last - first >= 2 { return (first...last).map { pow(10, Double($0)) } }
      // Within few decades also 2 and 5 of each.
      let decades = (first - 1)...(last + 1)
      return decades.flatMap { decade in [1, 2, 5].map { $0 * pow(10, Double(decade)) } }
        .filter { domain.contains($0) }
    }
    guard let step = step(wanted) else { return [] }
    var ticks: [Double] = []
    var index = (domain.lowerBound / step - 1e-9).rounded(.up)
    while index * step <= domain.upperBound + step * 1e-9 {
      ticks.append(index * step)
      index += 1
    }
    return ticks
  }

  /// A round distance that cuts the domain into about as many parts as wanted.
  private func step(_ wanted: Int) -> Double? {
    let rough = (domain.upperBound - domain.lowerBound) / Double(max(1, wanted))
    guard rough > 0, rough.isFinite else { return nil }
    let magnitude = pow(10, log10(rough).rounded(.down))
    return [1, 2, 5, 10].map { $0 * magnitude }.first { $0 >= rough * (1 - 1e-9) } ?? rough
  }
}

/// A number for people: three or four digits that count, thousands by letter.
func short(_ value: Double) -> String {
  guard value.isFinite else { return "–" }
  for (unit, letter) in [(1e9, "G"), (1e6, "M"), (1e3, "k")] where abs(value) >= unit * 0.9995 {
    return trimmed(value / unit, 3) + letter
  }
  return trimmed(value, 4)
}

private func trimmed(_ value: Double, _ digits: Int) -> String {
  guard value != 0 else { return "0" }
  let whole = max(0, Int(log10(abs(value)).rounded(.down)) + 1)
  let places = max(0, min(6, digits - whole))
  let scale = pow(10, Double(places))
  let rounded = (value * scale).rounded() / scale
  guard places > 0, rounded != rounded.rounded() else { return "\(Int(rounded))" }
  var text = "\(abs(rounded))"
  if text.contains("e") { return "\(rounded)" }
  if let dot = text.firstIndex(of: ".") {
    text = String(text.prefix(text.distance(from: text.startIndex, to: dot) + 1 + places))
  }
  return (rounded < 0 ? "-" : "") + text
}
