// Apache-2.0.

/// How far a piece of work has got: a bar drawn over itself on a terminal, else a line a tenth.
public struct ProgressBar: ~Copyable {
  private let console: Console
  private let title: String
  private let total: Int
  private var lastTenth = -1

  /// A bar for `total` units of work, drawn empty.
  public init(_ title: String, total: Int, on console: Console) {
    self.console = console
    self.title = title
    self.total = max(1, total)
    update(0)
  }

  /// Shows that `done` units are done; `detail` follows the bar.
  public mutating func update(_ done: Int, detail: String = "") {
    let done = min(max(0, done), total)
    let suffix = detail.isEmpty ? "" : "  \(detail)"
    if console.isTerminal {
      let filled = done * 30 / total
      let bar = String(repeating: "█", count: filled) + String(repeating: "░", count: 30 - filled)
      console.redraw("\(title) \(bar) \(done)/\(total)\(suffix)")
    } else if done * 10 / total != lastTenth {
      lastTenth = done * 10 / total
      console.note("\(title) \(done)/\(total)\(suffix)")
    }
  }

  /// Leaves the bar as it is and goes to the next line.
  public consuming func finish() {
    if console.isTerminal { console.note("") }
  }
}
