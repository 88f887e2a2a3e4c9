// Apache-2.0.
import CKernels
import CommandLineTool

import SharedRandomness
import Tensors

/// How long it takes to bring base weights to a model version.
let replayBenchmark = Command(
  "replay",
  "Form the weights of a version from its base and K accumulators, against a copy.",
  options: [
    .value("parameters", "D", "Trainable scalars (10000000)."),
    .value("seeds", "K", "Directions with an amount, a power of two (4096)."),
    threadsOption,
  ],
  notes: "The floor is the copy of the base weights by as many threads."
) { arguments, console in
  let count = try arguments.integer("parameters", in: 1...1 << 32) ?? 10_000_000
  let seeds = try arguments.integer("seeds", in: 2...65_536) ?? 4096
  guard seeds.nonzeroBitCount == 1 else {
    throw CommandFailure.usage("--seeds \(seeds): expected a power of two")
  }
  let bench = ReplayBench(parameters: count, seeds: seeds)
  for threads in try threadCounts(arguments) {
    bench.run(on: ThreadTeam(threads: threads), console)
  }
  return .ok
}

private struct ReplayBench {
  let count: Int
  let terms: [(direction: UInt32, amount: Int32)]
  let base: AlignedBuffer
  let weights: AlignedBuffer

  init(parameters: Int, seeds: Int) {
    count = parameters
    // Amounts as a run of some forty rounds leaves them; none is zero.
    terms = (0..<UInt32(seeds)).map { ($0, Int32(bitPattern: $0 &* 2_654_435_761) >> 15 | 1) }
    base = AlignedBuffer(floats: parameters)
    weights = AlignedBuffer(floats: parameters)
    for index in 0..<parameters {
      unsafe base.floats[index] = Float(index & 1023) * 1e-4
    }
  }

  func run(on team: ThreadTeam, _ console: Console) {
    let suffix = "\(terms.count) seeds, \(count) parameters, \(team.threadCount) threads"
    let copying = Measurement.of { copy(on: team) }
    ReportRow("copy, \(team.threadCount) threads", copying.median * 1e3, "ms").write(to: console)
    let log2Count = terms.count.trailingZeroBitCount
    let families: [(String, DirectionFamily, Int)] = [
      ("hadamard", .hadamard(log2Count: log2Count), 7),
      ("independent", .independent, 3),
    ]
    for (name, family, runs) in families {
      let bank = DirectionBank(family: family, key: 0x5EED, epoch: 0)
      let replay = BankReplay(bank, terms: terms)
      let measured = Measurement.of(runs: runs) { form(replay, on: team) }
      ReportRow(
        "replay \(name), \(suffix)",
        measured.median * 1e3,
        "ms",
        floor: ("copy", copying.median * 1e3)
      ).write(to: console)
      let nanoseconds = measured.median * 1e9 / Double(count) / Double(terms.count)
      ReportRow("  a parameter and seed", nanoseconds, "ns").write(to: console)
    }
  }

  private func copy(on team: ThreadTeam) {
    split(into: 1 << 16, on: team) { part in
      // SAFETY: both buffers hold `count` floats, and parts lie within.
      unsafe (weights.baseAddress + part.lowerBound * 4).copyMemory(
        from: base.baseAddress + part.lowerBound * 4,
        byteCount: part.count * 4
      )
    }
  }

  private func form(_ replay: BankReplay, on team: ThreadTeam) {
    split(into: max(1 << 16, replay.blockSize), on: team) { part in
      replay.run(part) { block, sums in
        // SAFETY: `sums` holds a block, and blocks lie within both buffers.
        unsafe sums.withUnsafeBufferPointer { integers in
          let table = unsafe KernelTable.current.kernels.pointee
          unsafe table.form_weights(
            base.baseAddress + block.lowerBound * 4,
            Int32(ElementType.f32.rawValue),
            integers.baseAddress,
            20,
            weights.floats.baseAddress.map { unsafe $0 + block.lowerBound },
            Int64(block.count)
          )
        }
      }
    }
  }

  private func split(
    into size: Int,
    on team: ThreadTeam,
    _ body: (Range<Int>) -> Void
  ) {
    team.run(tasks: (count + size - 1) / size) { task, _ in
      body(task * size..<min(count, (task + 1) * size))
    }
  }
}
