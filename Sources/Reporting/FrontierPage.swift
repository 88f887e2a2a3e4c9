// Apache-2.0.

/// What methods of one task reached, and for how many bytes.
public struct FrontierFigure: Sendable {
  /// One method.
  public struct Method: Sendable {
    /// Its name.
    public let name: String
    /// Which colour: 0 for methods that only measure losses, 1 for projections, 2 for adapters, 3 for all weights.
    public let group: Int
    /// Bytes a client and round, up and down.
    public let up: Double, down: Double
    /// Rounds, and local steps of each.
    public let rounds: Int, steps: Int
    /// Round and metric, the base first; of several seeds the median.
    public let curve: [(round: Int, value: Double)]
    /// The metric at the end under each seed.
    public let ends: [Double]

    /// A method.
    public init(
      name: String,
      group: Int,
      up: Double,
      down: Double,
      rounds: Int,
      steps: Int,
      curve: [(round: Int, value: Double)],
      ends: [Double] = []
    ) {
      self.name = name
      self.group = group
      self.up = up
      self.down = down
      self.rounds = rounds
      self.steps = steps
      self.curve = curve
      self.ends = ends
    }
  }

  /// Name of the task.
  public let task: String
  /// What is measured.
  public let metric: String
  /// Words below the heading.
  public let note: String
  /// In the order of their numbers.
  public let methods: [Method]

  /// A figure.
  public init(task: String, metric: String, note: String, methods: [Method]) {
    self.task = task
    self.metric = metric
    self.note = note
    self.methods = methods
  }

  static let groups = [
    "losses along directions", "projected gradients", "adapters", "all that trains",
  ]
  private static let width = 640.0
  private static let height = 340.0
  private static let left = 52.0
  private static let right = 52.0
  private static let top = 14.0
  private static let bottom = 44.0

  /// The last value of each method against what it sends a round.
  var points: String {
    let dots = methods.enumerated().compactMap { index, method in
      method.curve.last.map { (index: index, x: method.up, y: $0.value) }
    }
    let across = Scale(
      dots.map(\.x) + [dots.map(\.x).min().map { $0 / 1.3 } ?? 1],
      to: Self.left...(Self.width - Self.right),
      isLogarithmic: true
    )
    let up = scale(dots.map(\.y) + methods.flatMap(\.ends))
    var drawing = canvas(across, up, "bytes a client sends a round")
    var labels = LabelPlacer(rows: 12...(Self.height - Self.bottom + 4))
    for dot in dots {
      let method = methods[dot.index]
      let (x, y) = (across.place(dot.x), up.place(dot.y))
      if let least = method.ends.min(), let most = method.ends.max() {
        drawing.path(
          [(x, up.place(least)), (x, up.place(most))],
          "run r\(method.group)",
          title: "\(method.name): \(short(least)) to \(short(most))"
        )
      }
      drawing.bar(
        x - 4,
        y - 4,
        8,
        8,
        "fill r\(method.group)",
        title: "\(method.name): \(short(dot.y)) with \(short(dot.x)) B a round"
      )
      let text = "\(dot.index + 1)"
      let place = labels.place(text, at: x, y, offsets: LabelPlacer.around(text))
      drawing.text(place.x, place.y, "start", text)
    }
    return drawing.element(label: "\(metric) against bytes a client sends a round")
  }

  /// The metric on the way, against something that grows with the rounds.
  func curves(_ axis: String, _ x: (Method, Int) -> Double) -> String {
    let series = methods.map { method in
      method.curve.filter { $0.round > 0 }.map { (x(method, $0.round), $0.value) }
    }
    let all = series.flatMap { $0 }
    let across = Scale(
      all.map(\.0),
      to: Self.left...(Self.width - Self.right),
      isLogarithmic: true
    )
    let up = scale(all.map(\.1))
    var drawing = canvas(across, up, axis)
    var labels = LabelPlacer(rows: 12...(Self.height - Self.bottom + 4))
    for (index, points) in series.enumerated() {
      let places = points.map { (across.place($0.0), up.place($0.1)) }
      drawing.path(places, "run r\(methods[index].group)", title: methods[index].name)
      if let last = places.last {
        let text = "\(index + 1)"
        let place = labels.place(text, at: last.0, last.1, offsets: LabelPlacer.behind)
        drawing.text(place.x, place.y, "start", text)
      }
    }
    return drawing.element(label: "\(metric) against \(axis)")
  }

  /// Rows of the table, cells as text.
  var rows: [[String]] {
    methods.enumerated().map { index, method in
      [
        "\(index + 1)", method.name, short(method.up), short(method.down), "\(method.rounds)",
        "\(method.steps)", method.curve.last.map { short($0.value) + method.spread } ?? "–",
      ]
    }
  }

  private func scale(_ values: [Double]) -> Scale {
    Scale(values, to: Self.top...(Self.height - Self.bottom), isFlipped: true).rounded(6)
  }

  private func canvas(_ across: Scale, _ up: Scale, _ axis: String) -> Drawing {
    var drawing = Drawing(width: Self.width, height: Self.height)
    for tick in up.ticks(6) {
      let y = up.place(tick)
      drawing.line(Self.left, y, Self.width - Self.right, y, "grid")
      drawing.text(Self.left - 6, y + 4, "end", short(tick))
    }
    for tick in across.ticks(6) {
      drawing.text(across.place(tick), Self.height - Self.bottom + 17, "middle", short(tick))
    }
    let floor = Self.height - Self.bottom
    drawing.line(Self.left, floor, Self.width - Self.right, floor, "axis")
    drawing.text(Self.width / 2, Self.height - 6, "middle", axis)
    return drawing
  }
}

extension FrontierFigure.Method {
  /// Least and greatest end of several seeds.
  fileprivate var spread: String {
    guard ends.count > 1, let least = ends.min(), let most = ends.max() else { return "" }
    return " (\(short(least)) to \(short(most)))"
  }
}

/// One self-contained page of frontiers: what a byte buys, task by task.
public struct FrontierPage: Sendable {
  private let figures: [FrontierFigure]
  private let command: String

  /// A page.
  ///
  /// - Parameter command: what made it, for the foot.
  public init(_ figures: [FrontierFigure], command: String) {
    self.figures = figures
    self.command = command
  }

  /// The page.
  public var html: String {
    let groups = FrontierFigure.groups.enumerated().map { index, name in
      "<li><span class=\"swatch r\(index)\"></span>\(escaped(name))</li>"
    }
    var body = "<h1>What a byte buys</h1>\n<ul class=\"legend\">\(groups.joined())</ul>\n"
    for figure in figures {
      body += "<h2>\(escaped(figure.task))</h2>\n<p>\(escaped(figure.note))</p>\n"
      body += "<div class=\"figures\">\n"
      body += Self.drawn("\(figure.metric) against bytes a round", figure.points, "wide")
      body += Self.drawn(
        "\(figure.metric) against all bytes of a client",
        figure.curves("bytes a client has sent and received") {
          Double($1) * ($0.up + $0.down)
        }
      )
      body += Self.drawn(
        "\(figure.metric) against work",
        figure.curves("local steps of a client") { Double($1 * $0.steps) }
      )
      body += "</div>\n" + Self.table(figure)
    }
    body += "<footer><p>Made by <code>\(escaped(command))</code></p></footer>\n"
    return """
      <!doctype html>
      <html lang="en"><head><meta charset="utf-8">
      <meta name="viewport" content="width=device-width, initial-scale=1">
      <title>What a byte buys</title><style>\(ReportPage.style)</style></head>
      <body><main>
      \(body)</main></body></html>

      """
  }

  private static func drawn(
    _ caption: String,
    _ content: String,
    _ style: String = ""
  ) -> String {
    "<figure class=\"\(style)\"><figcaption>\(escaped(caption))</figcaption>\(content)</figure>\n"
  }

  private static func table(_ figure: FrontierFigure) -> String {
    let head = ["", "method", "up, B", "down, B", "rounds", "steps a round", figure.metric]
      .map { "<th>\(escaped($0))</th>" }.joined()
    let rows = figure.rows.map { row in
      "<tr>" + row.map { "<td>\(escaped($0))</td>" }.joined() + "</tr>"
    }
    return "<div class=\"scroll\"><table class=\"names\"><thead><tr>\(head)</tr></thead><tbody>"
      + "\(rows.joined())</tbody></table></div>\n"
  }
}
