// Apache-2.0.
import Codecs
import CommandLineTool

/// Median, least and greatest of several measurements of the same work, in seconds.
struct Measurement {
  let median: Double
  let least: Double
  let greatest: Double

  /// Runs `body` once to warm up, then `runs` times (an odd number has a true median).
  ///
  /// Short work is repeated within a measurement until it takes about `minimum` seconds.
  static func of(
    runs: Int = 7,
    minimum: Double = 0.02,
    _ body: () throws -> Void
  ) rethrows -> Measurement {
    let first = try time(body)
    let repeats = first >= minimum ? 1 : Int((minimum / max(first, 1e-8)).rounded(.up))
    var seconds: [Double] = []
    for _ in 0..<runs {
      seconds.append(try time { for _ in 0..<repeats { try body() } } / Double(repeats))
    }
    return Measurement(sorted: seconds.sorted())
  }

  /// Two kinds of work in turn, so that what else the machine does meets both.
  static func inTurn(
    runs: Int,
    _ first: () throws -> Void,
    _ second: () throws -> Void
  ) rethrows -> (Measurement, Measurement) {
    var seconds: ([Double], [Double]) = ([], [])
    _ = (try time(first), try time(second))
    for _ in 0..<runs {
      seconds.0.append(try time(first))
      seconds.1.append(try time(second))
    }
    return (Measurement(sorted: seconds.0.sorted()), Measurement(sorted: seconds.1.sorted()))
  }

  private init(sorted seconds: [Double]) {
    median = seconds[seconds.count / 2]
    least = seconds[0]
    greatest = seconds[seconds.count - 1]
  }

  private static func time(_ body: () throws -> Void) rethrows -> Double {
    let elapsed = try ContinuousClock().measure(body).components
    return Double(elapsed.seconds) + Double(elapsed.attoseconds) * 1e-18
  }
}

/// One line of a benchmark's report: what was reached, the floor, and their ratio.
struct ReportRow {
  /// What was measured.
  let name: String
  /// What was reached, in `unit`.
  let achieved: Double
  /// Unit of `achieved` and `floor`.
  let unit: String
  /// The bound measured in the same run, and what it is; nil where there is none.
  let floor: (name: String, value: Double)?

  init(_ name: String, _ achieved: Double, _ unit: String, floor: (String, Double)? = nil) {
    self.name = name
    self.achieved = achieved
    self.unit = unit
    self.floor = floor.map { (name: $0.0, value: $0.1) }
  }

  /// Writes the row: aligned text, or a JSON object a line.
  func write(to console: Console) {
    switch console.format {
    case .text:
      var line = padded(name, 66) + padded(rounded(achieved), 12, left: true) + " \(unit)"
      if let floor {
        line = padded(line, 90) + "\(floor.name) \(rounded(floor.value)), "
        line += "ratio \(rounded(achieved / floor.value))"
      }
      console.write(line)
    case .json:
      var fields: [(String, JSONValue)] = [
        ("name", .string(name)), ("achieved", .number(achieved)), ("unit", .string(unit)),
      ]
      if let floor {
        fields.append(("floor", .number(floor.value)))
        fields.append(("floor_name", .string(floor.name)))
        fields.append(("ratio", .number(achieved / floor.value)))
      }
      console.write(
        JSONValue.object(fields.map { .init($0.0, $0.1) }).serialized()
      )
    }
  }
}

/// Four significant digits.
private func rounded(_ value: Double) -> String {
  guard value.isFinite, value != 0 else { return "\(value)" }
  var unit = 1.0
  while unit * 1000 <= value.magnitude { unit *= 10 }
  while unit * 100 > value.magnitude, unit > 1e-12 { unit /= 10 }
  if unit >= 10 { return "\(Int(value.rounded()))" }
  let digits = Int((value / unit * 10).rounded())
  let scaled = Double(digits) * unit / 10
  return "\(Float(scaled))"
}

private func padded(_ text: String, _ width: Int, left: Bool = false) -> String {
  let padding = String(repeating: " ", count: max(0, width - text.count))
  return left ? padding + text : text + padding
}

/// Thread counts to measure: `--threads 1,4`, default 1 and 4.
func threadCounts(_ arguments: Arguments) throws(CommandFailure) -> [Int] {
  var counts: [Int] = []
  for word in (arguments.value("threads") ?? "1,4").split(separator: ",") {
    guard let count = Int(word), (1...1024).contains(count) else {
      throw .usage("--threads \(word): expected numbers such as 1,4")
    }
    counts.append(count)
  }
  return counts
}

/// The option that `threadCounts` reads.
let threadsOption = Option.value("threads", "N,N", "Thread counts to measure (1,4).")
