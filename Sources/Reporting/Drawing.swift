// Apache-2.0.

/// SVG as text; colours are classes of the page's style sheet, so that dark and light share one drawing.
struct Drawing {
  let width: Double
  let height: Double
  private var parts: [String] = []

  init(width: Double, height: Double) {
    self.width = width
    self.height = height
  }

  mutating func line(_ x1: Double, _ y1: Double, _ x2: Double, _ y2: Double, _ style: String) {
    parts.append(
      "<line class=\"\(style)\" x1=\"\(f(x1))\" y1=\"\(f(y1))\" x2=\"\(f(x2))\" y2=\"\(f(y2))\"/>"
    )
  }

  mutating func text(_ x: Double, _ y: Double, _ anchor: String, _ words: String) {
    parts.append(
      "<text x=\"\(f(x))\" y=\"\(f(y))\" text-anchor=\"\(anchor)\">\(escaped(words))</text>"
    )
  }

  mutating func path(_ points: [(Double, Double)], _ style: String, title: String) {
    guard let first = points.first else { return }
    var d = "M\(f(first.0)) \(f(first.1))"
    for point in points.dropFirst() { d += "L\(f(point.0)) \(f(point.1))" }
    parts.append("<path class=\"\(style)\" d=\"\(d)\"><title>\(escaped(title))</title></path>")
  }

  mutating func bar(
    _ x: Double,
    _ y: Double,
    _ width: Double,
    _ height: Double,
    _ style: String,
    title: String
  ) {
    parts.append(
      "<rect class=\"\(style)\" x=\"\(f(x))\" y=\"\(f(y))\" width=\"\(f(max(0.5, width)))\" "
        + "height=\"\(f(max(0, height)))\"><title>\(escaped(title))</title></rect>"
    )
  }

  /// The element; `label` is what a screen reader says.
  func element(label: String) -> String {
    "<svg viewBox=\"0 0 \(f(width)) \(f(height))\" role=\"img\" aria-label=\"\(escaped(label))\">"
      + parts.joined() + "</svg>"
  }

  private func f(_ value: Double) -> String {
    let rounded = (value * 10).rounded() / 10
    return rounded == rounded.rounded() ? "\(Int(rounded))" : "\(rounded)"
  }
}

/// Text as HTML shows it.
func escaped(_ text: String) -> String {
  var result = ""
  for character in text {
    switch character {
    case "&": result += "&amp;"
    case "<": result += "&lt;"
    case ">": result += "&gt;"
    case "\"": result += "&quot;"
    default: result.append(character)
    }
  }
  return result
}
