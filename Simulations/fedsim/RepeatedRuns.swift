// Apache-2.0.
import CommandLineTool
import Coordination
import FederatedCore
import FineTuning

extension Arguments {
  /// The seeds of `--seeds`; one run with the seed of its file where there are none.
  func seeds() throws(CommandFailure) -> [UInt64?] {
    guard let text = value("seeds") else { return [nil] }
    return try text.split(separator: ",", omittingEmptySubsequences: false).map {
      word throws(CommandFailure) in
      guard let seed = UInt64(word), seed <= Int.max else {
        throw .usage("--seeds: whole numbers with commas between, not \(text)")
      }
      return seed
    }
  }

  /// The runs that the operands name: run files, and the methods of task files, those alone whose
  /// names contain a word of `--only`.
  func runs() throws(CommandFailure) -> [FrontierFile.Method] {
    let wanted = allValues("only")
    var runs: [FrontierFile.Method] = []
    for path in operands {
      do { runs += try FrontierFile.methods(in: path) } catch {
        throw CommandFailure("\(path): \(error)", code: .usage)
      }
    }
    runs = runs.filter { run in wanted.isEmpty || wanted.contains(where: run.name.contains) }
    guard !runs.isEmpty else {
      throw .usage("--only \(wanted.joined(separator: ", ")): no method has such a name")
    }
    return runs
  }
}

extension FrontierFile.Method {
  /// The run with changes of the command line, the seed the last of them.
  func simulated(
    _ changes: [RunFile.Change],
    seed: UInt64?,
    note: (String) -> Void = { _ in }
  ) throws(CommandFailure) -> RunConfiguration {
    do { return try configuration(seed: seed, changing: changes, note: note) } catch {
      throw CommandFailure("\(name): \(error)", code: .usage)
    }
  }
}

/// The middle of numbers of which `missing` more are endless, nil where the middle is endless too.
func median(_ values: [Double], missing: Int = 0) -> Double? {
  let all = values.sorted() + [Double](repeating: .infinity, count: missing)
  guard !all.isEmpty else { return nil }
  let middle = (all[(all.count - 1) / 2] + all[all.count / 2]) / 2
  return middle.isFinite ? middle : nil
}
