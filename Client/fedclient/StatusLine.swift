// Apache-2.0.
import Codecs
import CommandLineTool
import Participation
import Synchronization
import Telemetry

/// The progress of a task at the bottom of a terminal, with the log above it; else a line a tenth.
final class StatusLine: Sendable {
  private struct State {
    var shown = ""
    var lastTenth = -1
  }

  private let console: Console
  private let state = Mutex(State())

  init(_ console: Console) { self.console = console }

  /// Writes a line above the progress.
  func note(_ line: String) {
    state.withLock { state in
      if !state.shown.isEmpty { console.redraw("") }
      console.note(line)
      if !state.shown.isEmpty { console.redraw(state.shown) }
    }
  }

  /// Shows how far a task has got; a task that is done leaves one line.
  func show(_ progress: TaskProgress) {
    let line = text(progress)
    let isDone = progress.done == progress.steps
    state.withLock { state in
      if isDone {
        if console.isTerminal { console.redraw("") }
        console.note(line)
        if console.format == .json { console.write(progress.json.serialized()) }
        state = State()
      } else if console.isTerminal {
        state.shown = line
        console.redraw(line)
      } else if progress.done * 10 / progress.steps != state.lastTenth {
        state.lastTenth = progress.done * 10 / progress.steps
        // A short task tells of its end alone.
        if progress.steps >= 100 { console.note(line) }
      }
    }
  }

  private func text(_ progress: TaskProgress) -> String {
    let title = "round \(progress.round)/\(progress.rounds)"
    let counts =
      "\(progress.done)/\(progress.steps) steps, loss \(decimal(Double(progress.loss), 4))"
    guard console.isTerminal, progress.done < progress.steps else { return "\(title) \(counts)" }
    let filled = progress.done * 30 / progress.steps
    let bar = String(repeating: "█", count: filled) + String(repeating: "░", count: 30 - filled)
    return "\(title) \(bar) \(counts)"
  }
}

extension TaskProgress {
  /// A task that is done, as a line of JSON.
  fileprivate var json: JSONValue {
    .object([
      .init("round", .integer(Int64(round))),
      .init("rounds", .integer(Int64(rounds))),
      .init("steps", .integer(Int64(steps))),
      .init("loss", .number(Double(loss))),
    ])
  }
}
