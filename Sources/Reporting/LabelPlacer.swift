// Apache-2.0.

/// Places short labels beside their marks so that none lies on another.
struct LabelPlacer {
  /// Baselines that lie within the drawing.
  let rows: ClosedRange<Double>
  private var taken: [(x: Double, y: Double, width: Double)] = []

  /// Wide enough for the larger letters of small screens.
  private static let letter = 11.0
  private static let height = 14.0

  init(rows: ClosedRange<Double>) { self.rows = rows }

  /// Where a label of a mark goes: the first of the offsets that is free, else the last.
  ///
  /// - Parameter offsets: from the mark to the left end of the label's baseline.
  mutating func place(
    _ text: String,
    at x: Double,
    _ y: Double,
    offsets: [(x: Double, y: Double)]
  ) -> (x: Double, y: Double) {
    let width = Double(text.count) * Self.letter
    let places = offsets.map { (x: x + $0.x, y: y + $0.y, width: width) }
    let free = places.first { place in
      rows.contains(place.y)
        && !taken.contains { other in
          place.x < other.x + other.width && other.x < place.x + place.width
            && abs(place.y - other.y) < Self.height
        }
    }
    guard let chosen = free ?? places.last else { return (x, y) }
    taken.append(chosen)
    return (chosen.x, chosen.y)
  }

  /// Around a dot: above and below to the right, then to the left, then further away.
  static func around(_ text: String) -> [(x: Double, y: Double)] {
    let left = -5 - Double(text.count) * letter
    let near = [(7.0, -4.0), (7.0, 13.0), (left, -4.0), (left, 13.0)]
    let far = [(20.0, 5.0), (-4.0, -12.0), (-4.0, 22.0), (22.0, -14.0), (22.0, 22.0), (left, 5.0)]
    return near + far
  }

  /// Right of the end of a line, in one of two columns, further up or down where both are taken.
  static let behind: [(x: Double, y: Double)] =
    [0.0, -14, 14, -28, 28, -42, 42, -56, 56, -70, 70, 84, 98].flatMap { down in
      [(4, down + 4), (24, down + 4)]
    }
}
