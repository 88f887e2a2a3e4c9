// Apache-2.0.
import CommandLineTool
import SimulatedFederation
import Synchronization
import Telemetry

/// How far a simulation has got: virtual time, tasks a second, time left.
///
/// A line drawn over itself on a terminal, else a line every half minute.
final class ProgressLine: Sendable {
  private struct State {
    var isDrawn = false
    var last: Duration = .zero
    /// Tasks and time by which speed is measured: results of a checkpoint come at once.
    var start: (tasks: Int, round: Int, time: Duration)?
  }

  private let console: Console
  private let clock = ContinuousClock()
  private let began: ContinuousClock.Instant
  private let state = Mutex(State())

  init(_ console: Console) {
    self.console = console
    began = clock.now
  }

  /// Takes note of progress and shows it now and then.
  func update(_ progress: SimulationHooks.Progress) {
    let time = began.duration(to: clock.now)
    state.withLock { state in
      guard time - state.last >= (console.isTerminal ? .milliseconds(200) : .seconds(30)) else {
        return
      }
      state.last = time
      let start = state.start ?? (progress.tasks, progress.round, time)
      state.start = start
      let line = Self.text(progress, since: start, time)
      if console.isTerminal {
        console.redraw(line)
        state.isDrawn = true
      } else {
        console.note(line)
      }
    }
  }

  /// Writes a line of data; the progress line goes out of its way.
  func write(_ line: String) {
    erase()
    console.write(line)
  }

  /// Writes a line for people.
  func note(_ line: String) {
    erase()
    console.note(line)
  }

  /// Takes the line away.
  func finish() { erase() }

  private func erase() {
    state.withLock { state in
      if state.isDrawn { console.redraw("") }
      state.isDrawn = false
    }
  }

  private static func text(
    _ progress: SimulationHooks.Progress,
    since start: (tasks: Int, round: Int, time: Duration),
    _ time: Duration
  ) -> String {
    var parts = [
      "virtual time \(span(progress.now))", "version \(progress.round) of \(progress.rounds)",
      "\(progress.tasks) tasks done",
    ]
    let seconds = (time - start.time).inSeconds
    let tasks = progress.tasks - start.tasks
    if seconds > 0, tasks > 0 {
      let rate = Double(tasks) / seconds
      parts.append("\(decimal(rate, rate < 10 ? 1 : 0)) a second")
    }
    let rounds = progress.round - start.round
    if rounds > 0 {
      let left = seconds / Double(rounds) * Double(progress.rounds - progress.round)
      parts.append("about \(span(.milliseconds(Int(left * 1000)))) left")
    }
    return parts.joined(separator: ", ")
  }

  /// A length of time for people: 45s, 12m 03s, 3h 07m, 2d 05h.
  static func span(_ duration: Duration) -> String {
    let seconds = Int(duration.components.seconds)
    func two(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }
    switch seconds {
    case ..<60: return "\(seconds)s"
    case ..<3600: return "\(seconds / 60)m \(two(seconds % 60))s"
    case ..<86_400: return "\(seconds / 3600)h \(two(seconds / 60 % 60))m"
    default: return "\(seconds / 86_400)d \(two(seconds / 3600 % 24))h"
    }
  }
}
