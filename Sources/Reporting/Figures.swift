// Apache-2.0.

/// The figures of a report.
struct Figures {
  let runs: [RunRecord]
  /// Whether the metric is accuracy instead of loss.
  let accuracy: Bool

  private static let width = 560.0
  private static let height = 300.0
  private static let left = 52.0
  private static let right = 24.0
  private static let top = 12.0
  private static let bottom = 44.0

  var metricName: String { accuracy ? "held-out accuracy" : "held-out loss" }

  /// The metric against something that grows.
  func curve(
    _ axis: String,
    isLogarithmic: Bool = false,
    _ x: (RunRecord.Version) -> Double
  ) -> String {
    let series = runs.map { run in
      run.versions.compactMap { version in
        run.metric(version, accuracy: accuracy).map { (x(version), $0) }
      }.filter { !isLogarithmic || $0.0 > 0 }
    }
    let points = series.flatMap { $0 }
    guard !points.isEmpty else { return Self.nothing("no version was evaluated") }
    let across = Scale(
      points.map(\.0),
      to: Self.left...(Self.width - Self.right),
      isLogarithmic: isLogarithmic
    )
    let up = Scale(
      points.map(\.1),
      to: Self.top...(Self.height - Self.bottom),
      isFlipped: true
    ).rounded(5)
    var drawing = Drawing(width: Self.width, height: Self.height)
    Self.axes(&drawing, across, up, axis)
    for (index, points) in series.enumerated() {
      drawing.path(
        points.map { (across.place($0.0), up.place($0.1)) },
        "run r\(index % 8)",
        title: runs[index].name
      )
    }
    return drawing.element(label: "\(metricName) against \(axis)")
  }

  /// Shares of the contributions by how many versions late they were, in bins that double.
  func staleness() -> String {
    let binned = runs.map { run in
      var bins: [Double] = []
      let sum = Double(max(1, run.ageCounts.reduce(0, +)))
      for (age, count) in run.ageCounts.enumerated() {
        let bin = Self.bin(of: age)
        while bins.count <= bin { bins.append(0) }
        bins[bin] += 100 * Double(count) / sum
      }
      return bins
    }
    return bars(
      binned,
      labels: (0..<(binned.map(\.count).max() ?? 0)).map(Self.binName),
      axis: "versions late (3+: 3 and 4; bins double)",
      unit: "% of contributions"
    )
  }

  /// 0, 1, 2, 3 to 4, 5 to 8 and so on.
  static func bin(of age: Int) -> Int {
    age <= 2 ? age : Int.bitWidth - (age - 1).leadingZeroBitCount + 1
  }

  private static func binName(_ bin: Int) -> String {
    bin <= 2 ? "\(bin)" : "\(1 << (bin - 2) + 1)+"
  }

  /// Tasks done by each client.
  func participation() -> String {
    let columns = runs.map(\.clients).max() ?? 0
    let stride = max(1, (columns + 11) / 12)
    return bars(
      runs.map { $0.participation.sorted(by: >).map(Double.init) },
      labels: (0..<columns).map { $0 % stride == 0 ? "\($0 + 1)" : "" },
      axis: "clients, busiest first",
      unit: "tasks"
    )
  }

  /// Who worked when, a line a client; bands are the versions tasks started from.
  static func timeline(_ run: RunRecord) -> String {
    let shown = min(run.clients, 40)
    let tasks = run.tasks.filter { $0.client < shown }
    guard !tasks.isEmpty else { return nothing("no task was done") }
    // The beginning says most; thousands of bars say nothing.
    let most = 1200
    let end = tasks.count > most ? tasks[most].end : tasks.map(\.end).max() ?? 1
    let rowHeight = 9.0
    let height = top + Double(shown) * rowHeight + bottom
    let across = Scale([0, end], to: left...(width - right))
    var drawing = Drawing(width: width, height: height)
    for tick in across.ticks(6) {
      let x = across.place(tick)
      drawing.line(x, top, x, height - bottom, "grid")
      drawing.text(x, height - bottom + 17, "middle", short(tick))
    }
    drawing.text(width / 2, height - 6, "middle", "seconds; a row a client, a shade a version")
    for task in tasks where task.end <= end {
      let x = across.place(task.start)
      drawing.bar(
        x,
        top + Double(task.client) * rowHeight + 1,
        // Room between tasks where they are wide enough to be told apart.
        across.place(task.end) - x - (across.place(task.end) - x > 3 ? 0.6 : 0),
        rowHeight - 2,
        "band b\(task.base % 6)",
        title:
          "client \(task.client), version \(task.base), \(short(task.start)) to \(short(task.end)) s"
      )
    }
    return drawing.element(label: "work of the clients of \(run.name) over time")
  }

  private func bars(
    _ series: [[Double]],
    labels: [String],
    axis: String,
    unit: String
  ) -> String {
    let columns = series.map(\.count).max() ?? 0
    guard columns > 0 else { return Self.nothing("nothing to count") }
    let across = Scale(
      [-0.5, Double(columns) - 0.5],
      to: Self.left...(Self.width - Self.right)
    )
    let up = Scale(
      [0] + series.flatMap { $0 },
      to: Self.top...(Self.height - Self.bottom),
      isFlipped: true
    ).rounded(5)
    var drawing = Drawing(width: Self.width, height: Self.height)
    Self.frame(&drawing, up, "\(unit), by \(axis)")
    for (column, label) in labels.enumerated() where !label.isEmpty {
      let x = across.place(Double(column))
      drawing.text(x, Self.height - Self.bottom + 17, "middle", label)
    }
    let slot = (across.place(1) - across.place(0)) * 0.9
    let width = slot / Double(series.count)
    for (run, values) in series.enumerated() {
      for (column, value) in values.enumerated() where value > 0 {
        drawing.bar(
          across.place(Double(column)) - slot / 2 + Double(run) * width,
          up.place(value),
          width,
          up.place(0) - up.place(value),
          "fill r\(run % 8)",
          title: "\(runs[run].name): \(short(value)) \(unit)"
        )
      }
    }
    return drawing.element(label: "\(unit) by \(axis)")
  }

  private static func axes(
    _ drawing: inout Drawing,
    _ across: Scale,
    _ up: Scale,
    _ name: String
  ) {
    frame(&drawing, up, name)
    for tick in across.ticks(6) {
      drawing.text(across.place(tick), height - bottom + 17, "middle", short(tick))
    }
  }

  /// The axes without what is written along the lower one.
  private static func frame(_ drawing: inout Drawing, _ up: Scale, _ name: String) {
    for tick in up.ticks(5) {
      let y = up.place(tick)
      drawing.line(left, y, width - right, y, "grid")
      drawing.text(left - 6, y + 4, "end", short(tick))
    }
    drawing.line(left, height - bottom, width - right, height - bottom, "axis")
    drawing.text(width / 2, height - 6, "middle", name)
  }

  private static func nothing(_ reason: String) -> String {
    "<p class=\"nothing\">\(escaped(reason))</p>"
  }
}
