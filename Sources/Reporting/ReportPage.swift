// Apache-2.0.

/// One self-contained HTML page that compares runs: inline SVG, nothing loaded from elsewhere.
public struct ReportPage: Sendable {
  private let runs: [RunRecord]
  private let title: String
  private let command: String
  private let targets: [Double]
  private let accuracy: Bool
  /// Each run with its repetitions under other seeds, itself among them.
  private let repetitions: [[RunRecord]]

  /// A page.
  ///
  /// - Parameters:
  ///   - command: what made it, for the foot.
  ///   - targets: values of the metric to be reached; chosen from the runs where there are none.
  ///   - repetitions: of each run the same one under all seeds, for medians; empty where there is one.
  public init(
    title: String,
    _ runs: [RunRecord],
    command: String,
    targets: [Double] = [],
    repetitions: [[RunRecord]] = []
  ) {
    self.runs = runs
    self.repetitions = repetitions
    self.title = title
    self.command = command
    // One metric for all: accuracy only where every run has it.
    let accuracy = !runs.isEmpty && runs.allSatisfy(\.hasAccuracy)
    self.accuracy = accuracy
    self.targets = targets.isEmpty ? Self.targets(runs, accuracy) : targets
  }

  /// The page.
  public var html: String {
    let figures = Figures(runs: runs, accuracy: accuracy)
    var body = "<h1>\(escaped(title))</h1>\n" + legend + medianTable(figures.metricName)
    if let count = repetitions.map(\.count).max(), count > 1 {
      body +=
        "<h2>The first seed</h2>\n<p>Below, runs are those under the first of the seeds.</p>\n"
    }
    body += summary(figures.metricName)
    body += "<div class=\"figures\">\n"
    body += figure(
      "\(figures.metricName) against time",
      figures.curve("seconds") { $0.time }
    )
    body += figure(
      "\(figures.metricName) against versions",
      figures.curve("versions") { Double($0.number) }
    )
    body += figure(
      "\(figures.metricName) against bytes",
      figures.curve("bytes of all clients, both ways", isLogarithmic: true) { $0.bytes }
    )
    body += figure("How late contributions were", figures.staleness())
    body += figure("Tasks of each client", figures.participation())
    for run in runs { body += figure("Work over time: \(run.name)", Figures.timeline(run)) }
    body += "</div>\n" + targetTable(figures.metricName) + foot
    return """
      <!doctype html>
      <html lang="en"><head><meta charset="utf-8">
      <meta name="viewport" content="width=device-width, initial-scale=1">
      <title>\(escaped(title))</title><style>\(Self.style)</style></head>
      <body><main>
      \(body)</main></body></html>

      """
  }

  /// The versions of all runs, comma-separated with a header.
  public var csv: String {
    var text = "run,version,seconds,bytes,contributions,mean_age,loss,accuracy\n"
    for run in repetitions.isEmpty ? runs : repetitions.flatMap({ $0 }) {
      for version in run.versions {
        let ages = version.ages
        let mean = ages.isEmpty ? 0 : Double(ages.reduce(0, +)) / Double(ages.count)
        let fields = [
          "\"\(run.name.replacing("\"", with: "\"\""))\"", "\(version.number)", "\(version.time)",
          "\(version.bytes)", "\(ages.count)", "\(mean)", version.loss.map { "\($0)" } ?? "",
          version.accuracy.map { "\($0)" } ?? "",
        ]
        text += fields.joined(separator: ",") + "\n"
      }
    }
    return text
  }

  /// A third, two thirds and nine tenths of the way from the first value to the best one of all.
  private static func targets(_ runs: [RunRecord], _ accuracy: Bool) -> [Double] {
    let values = runs.map { run in run.versions.compactMap { run.metric($0, accuracy: accuracy) } }
    let firsts = values.compactMap(\.first)
    guard let first = accuracy ? firsts.min() : firsts.max(),
      let best = accuracy ? values.joined().max() : values.joined().min(), first != best
    else { return [] }
    return [1.0 / 3, 2.0 / 3, 0.9].map { first + (best - first) * $0 }
  }

  private var legend: String {
    let items = runs.enumerated().map { index, run in
      "<li><span class=\"swatch r\(index % 8)\"></span>\(escaped(run.name))</li>"
    }
    return "<ul class=\"legend\">\(items.joined())</ul>\n"
  }

  private func summary(_ metric: String) -> String {
    let rows = runs.map { run in
      let last = run.versions.last { run.metric($0, accuracy: accuracy) != nil }
      let value = last.flatMap { run.metric($0, accuracy: accuracy) }.map(short) ?? "–"
      return [
        escaped(run.name), value, short(run.duration), "\(run.versions.last?.number ?? 0)",
        short(run.versions.last?.bytes ?? 0), "\(run.tasks.count)",
        "\(Int((run.idleShare * 100).rounded())) %",
      ]
    }
    return table(
      ["run", "last \(metric)", "seconds", "versions", "bytes", "tasks", "idle"],
      rows
    )
  }

  private func targetTable(_ metric: String) -> String {
    guard !targets.isEmpty else { return "" }
    let rows = runs.map { run in
      [escaped(run.name)]
        + targets.map { target in
          guard let version = run.reached(target, accuracy: accuracy) else {
            return "<span class=\"miss\">not reached</span>"
          }
          return "\(short(version.time)) s, \(short(version.bytes)) B"
        }
    }
    return "<h2>Time and bytes to \(metric)</h2>\n"
      + table(["run"] + targets.map(short), rows)
  }

  /// Times to the targets over all seeds: the median, the range, and how many seeds missed.
  private func medianTable(_ metric: String) -> String {
    guard !targets.isEmpty, let count = repetitions.map(\.count).max(), count > 1 else { return "" }
    let rows = zip(runs, repetitions).map { run, all in
      let last = all.compactMap { $0.lastMetric(accuracy: accuracy) }
      return [escaped(run.name), Self.spread(last, of: all.count)]
        + targets.map { target in
          let times = all.compactMap { $0.reached(target, accuracy: accuracy)?.time }
          return Self.spread(times, of: all.count)
        }
    }
    return "<h2>Seconds to \(metric), over \(count) seeds</h2>\n"
      + "<p>Median (least to greatest). Where a seed missed the target, its time counts as endless.</p>\n"
      + table(["run", "last \(metric)"] + targets.map(short), rows)
  }

  private static func spread(_ values: [Double], of count: Int) -> String {
    let sorted = values.sorted()
    let misses = count - sorted.count
    let missed = misses > 0 ? " <span class=\"miss\">\(misses) missed</span>" : ""
    guard let least = sorted.first, let greatest = sorted.last else { return missed }
    let all = sorted + [Double](repeating: .infinity, count: misses)
    let median = (all[(count - 1) / 2] + all[count / 2]) / 2
    let middle = median.isFinite ? short(median) : "–"
    return "\(middle) (\(short(least)) to \(short(greatest)))\(missed)"
  }

  private var foot: String {
    let parts = runs.map { run in
      let facts = run.facts.map { "<dt>\(escaped($0.0))</dt><dd>\(escaped($0.1))</dd>" }
      return "<h3>\(escaped(run.name))</h3><dl>\(facts.joined())</dl>"
    }
    return "<footer><p>Made by <code>\(escaped(command))</code></p>\(parts.joined())</footer>\n"
  }

  private func figure(_ caption: String, _ content: String) -> String {
    "<figure><figcaption>\(escaped(caption))</figcaption>\(content)</figure>\n"
  }

  /// Cells are HTML already.
  private func table(_ head: [String], _ rows: [[String]]) -> String {
    let header = head.map { "<th>\(escaped($0))</th>" }.joined()
    let body = rows.map { "<tr>" + $0.map { "<td>\($0)</td>" }.joined() + "</tr>" }.joined()
    return "<div class=\"scroll\"><table><thead><tr>\(header)</tr></thead><tbody>\(body)"
      + "</tbody></table></div>\n"
  }
}
