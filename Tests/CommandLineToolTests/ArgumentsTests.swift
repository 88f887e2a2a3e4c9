// Apache-2.0.
import Codecs
import CommandLineTool
import Testing

@Suite("Command lines")
struct ArgumentsTests {
  private static let copy = Command(
    "copy",
    "Copies.",
    operands: [Operand("FROM", "Source."), Operand("TO", "Target.", isRequired: false)],
    options: [
      .value("depth", "N", "How deep."), .value("tag", "T", "May be repeated."),
      .flag("force", "Overwrite."),
    ]
  ) { _, _ in .ok }

  private func parse(_ words: String...) throws -> Arguments {
    try Arguments(words, for: Self.copy)
  }

  @Test("Options are read in both spellings, operands in order")
  func spellings() throws {
    let arguments = try parse("a", "--depth", "3", "--tag=x=y", "--tag", "z", "--force", "b")
    #expect(arguments.operands == ["a", "b"])
    #expect(try arguments.integer("depth") == 3)
    #expect(arguments.allValues("tag") == ["x=y", "z"])
    #expect(arguments.isSet("force"))
    #expect(try parse("--", "--depth").operands == ["--depth"])
  }

  @Test("A misspelt option is refused and the nearest one named")
  func misspelt() throws {
    let failure = #expect(throws: CommandFailure.self) { try parse("a", "--dept", "3") }
    #expect(failure?.code == .usage)
    #expect(failure?.description == "unknown option --dept; did you mean --depth?")
  }

  @Test(
    "Wrong command lines are refused with the reason",
    arguments: [
      ([], "missing FROM"),
      (["a", "b", "c"], "unexpected operand \"c\""),
      (["a", "--depth"], "--depth needs a value: --depth N"),
      (["a", "--force=1"], "--force takes no value"),
    ]
  )
  func refused(words: [String], reason: String) throws {
    let failure = #expect(throws: CommandFailure.self) {
      try Arguments(words, for: Self.copy)
    }
    #expect(failure?.description == reason)
  }

  @Test("A number outside its range is refused with the range")
  func range() throws {
    let arguments = try parse("a", "--depth", "12")
    let failure = #expect(throws: CommandFailure.self) {
      try arguments.integer("depth", in: 1...8)
    }
    #expect(
      failure?.description == "--depth 12: expected a whole number of at least 1 and at most 8"
    )
  }

  @Test("The nearest name is the one at the smallest distance, or none")
  func nearest() {
    #expect(nearestName(to: "statsu", among: ["stop", "status", "watch"]) == "status")
    #expect(nearestName(to: "zzzzzz", among: ["stop", "status", "watch"]) == nil)
  }

  @Test("A program leaves with its command's status, or with the status of the failure")
  func statuses() {
    let program = Program(
      "tool",
      "Tests.",
      commands: [
        Command("good", "Works.") { _, _ in .ok },
        Command("late", "Fails.") { _, _ in throw CommandFailure("too late", code: .timeout) },
      ]
    )
    #expect(program.run(["good"], environment: { _ in nil }) == .ok)
    #expect(program.run(["late"], environment: { _ in nil }) == .timeout)
    #expect(program.run(["god"], environment: { _ in nil }) == .usage)
    #expect(program.run([], environment: { _ in nil }) == .usage)
  }
}
