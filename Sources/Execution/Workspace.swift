// Apache-2.0.
import CKernels
import GraphCompiler
public import SharedRandomness
public import Tensors

/// What one worker needs to train and evaluate: trainable weights, one direction, an arena.
///
/// Used by one caller at a time; a worker uses it for client after client.
@safe public final class Workspace {
  // SAFETY: owner of its buffers; kernel calls stay within them, as the shapes in the table say.

  /// The base weights.
  public let table: WeightTable
  /// Threads that share the work.
  public let team: ThreadTeam
  private let perturbs: Bool
  let master: AlignedBuffer
  let signs: AlignedBuffer
  let vectors: AlignedBuffer
  /// Offset in `vectors` of each trainable vector, by position in the table.
  let vectorOffsets: [Int: Int]
  private(set) var arena = AlignedBuffer(byteCount: 0)
  private(set) var scratch = AlignedBuffer(byteCount: 0)
  private var present: Direction?
  /// Frozen matrices packed once, for all plans.
  private var panels: [PanelKey: AlignedBuffer] = [:]
  /// What optimisers keep from step to step, by name.
  var states: [String: AlignedBuffer] = [:]
  /// Changes when arena or scratch move.
  private(set) var generation = 0

  /// A workspace at the base weights.
  ///
  /// - Parameter perturbs: whether plans will run along directions; one that trains by gradients alone
  ///   needs no memory for signs.
  public init(_ table: WeightTable, team: ThreadTeam, perturbs: Bool = true) {
    self.table = table
    self.team = team
    master = AlignedBuffer(floats: table.trainableCount)
    self.perturbs = perturbs
    signs = AlignedBuffer(byteCount: perturbs ? (table.trainableCount + 127) / 128 * 16 : 0)
    var offsets: [Int: Int] = [:]
    var end = 0
    for (position, entry) in table.entries.enumerated()
    where entry.start != nil && entry.tensor.shape.rank == 1 {
      offsets[position] = end
      end += (entry.tensor.shape.elementCount + 15) & ~15
    }
    vectorOffsets = offsets
    vectors = AlignedBuffer(floats: perturbs ? end : 0)
    resetToBase()
  }

  /// Bytes held: weights, direction, states, arena and scratch.
  public var byteCount: Int {
    master.byteCount + signs.byteCount + vectors.byteCount + arena.byteCount + scratch.byteCount
      + states.values.reduce(0) { $0 + $1.byteCount }
      + panels.values.reduce(0) { $0 + $1.byteCount }
  }

  /// Makes room for a plan.
  func reserve(arenaBytes: Int, scratchBytes: Int) {
    let allScratch = scratchBytes * team.threadCount
    guard arenaBytes > arena.byteCount || allScratch > scratch.byteCount else { return }
    // The old memory goes first, so that the two are never held together.
    if arenaBytes > arena.byteCount {
      arena = AlignedBuffer(byteCount: 0)
      arena = AlignedBuffer(byteCount: arenaBytes)
    }
    if allScratch > scratch.byteCount {
      scratch = AlignedBuffer(byteCount: 0)
      scratch = AlignedBuffer(byteCount: allScratch)
    }
    generation += 1
  }

  /// A frozen matrix packed for products, once; nil where kernels have no use for panels.
  func panels(of position: Int, _ layout: PanelLayout) -> AlignedBuffer? {
    let key = PanelKey(position: position, layout: layout)
    if let known = panels[key] { return known }
    let tensor = table.entries[position].tensor
    let bytes = layout.byteCount(of: tensor.shape)
    guard bytes > 0 else { return nil }
    let made = AlignedBuffer(byteCount: bytes)
    var weight = unsafe tensor.weight
    // SAFETY: as many bytes as the kernel says it writes for this matrix.
    unsafe KernelTable.current.kernels.pointee
      .pack_panels(layout.rawValue, &weight, made.baseAddress)
    // What the products of a step read from now on are the panels.
    tensor.release(0..<tensor.shape.elementCount)
    panels[key] = made
    return made
  }

  /// The state of a name, zero at first.
  func state(_ name: String, byteCount: Int) -> AlignedBuffer {
    if let known = states[name], known.byteCount == byteCount { return known }
    let made = AlignedBuffer(byteCount: byteCount)
    states[name] = made
    return made
  }

  /// All states ← 0, as before the first step.
  public func clearStates() {
    for state in states.values {
      unsafe state.baseAddress.initializeMemory(
        as: UInt8.self,
        repeating: 0,
        count: state.byteCount
      )
    }
  }

  /// Fills the arena, with `guardBytes` more than plans asked for, with one byte, so that what a run
  /// touches shows.
  public func poison(guardBytes: Int = 4096) {
    arena = AlignedBuffer(byteCount: arena.byteCount + guardBytes)
    unsafe arena.baseAddress.initializeMemory(
      as: UInt8.self,
      repeating: Self.poisonByte,
      count: arena.byteCount
    )
    generation += 1
  }

  /// Bytes of the arena up to the last that runs have changed since `poison`.
  public var touchedBytes: Int {
    var end = arena.byteCount
    let bytes = unsafe arena.baseAddress.assumingMemoryBound(to: UInt8.self)
    while end > 0, unsafe bytes[end - 1] == Self.poisonByte { end -= 1 }
    return end
  }

  /// As part of a float a large number, so that who reads what nobody wrote is seen.
  private static let poisonByte: UInt8 = 0x7e

  // MARK: Weights

  /// w ← the base weights.
  public func resetToBase() {
    let kernels = unsafe KernelTable.current.kernels.pointee
    eachPart(blockSize: 1 << 14) { entry, range, at in
      var weight = unsafe samara_weight()
      unsafe weight.data = entry.tensor.bytes + range.lowerBound * entry.tensor.type.byteCount
      unsafe weight.rows = 1
      unsafe weight.columns = Int64(range.count)
      unsafe weight.row_stride = weight.columns
      unsafe weight.element_type = Int32(entry.tensor.type.rawValue)
      unsafe kernels.materialize(&weight, 0, 1, masterAddress(at))
      // Training by gradients reads the base once; rounds of a federation read it again and again.
      if !perturbs { entry.tensor.release(range) }
    }
    // The system maps pages around those that are read, some of which were released before.
    for entry in table.entries where !perturbs && entry.start != nil {
      entry.tensor.release(0..<entry.tensor.shape.elementCount)
    }
  }

  /// w[p] ← fl32(from[p] + 2^−scaleExponent · Σ_j amount_j z_j[p]).
  ///
  /// - Parameters:
  ///   - elements: trainable elements p, nil for all.
  ///   - isFromBase: `from` are the base weights, else the present ones.
  public func form(
    _ replay: BankReplay,
    scaleExponent: Int,
    elements: Range<Int>? = nil,
    isFromBase: Bool
  ) {
    let elements = elements ?? 0..<table.trainableCount
    precondition(elements.upperBound <= table.trainableCount, "elements of another model")
    let size = max(1 << 16, replay.blockSize)
    let first = elements.lowerBound / size
    team.run(tasks: (elements.upperBound + size - 1) / size - first) { task, _ in
      let start = (first + task) * size
      let range =
        max(start, elements.lowerBound)..<min(start + size, elements.upperBound)
      replay.run(range) { part, sums in
        form(part, sums, scaleExponent: scaleExponent, isFromBase: isFromBase)
      }
    }
  }

  /// w[p] ← fl32(from[p] + 2^−scaleExponent · integers[p]), an integer for each trainable element.
  ///
  /// - Parameter isFromBase: `from` are the base weights, else the present ones.
  public func form(_ integers: [Int32], scaleExponent: Int, isFromBase: Bool) {
    precondition(integers.count == table.trainableCount, "integers of another model")
    let size = 1 << 16
    team.run(tasks: (integers.count + size - 1) / size) { task, _ in
      let part = task * size..<min(integers.count, (task + 1) * size)
      form(
        part,
        integers.span.extracting(part),
        scaleExponent: scaleExponent,
        isFromBase: isFromBase
      )
    }
  }

  private func form(
    _ part: Range<Int>,
    _ integers: Span<Int32>,
    scaleExponent: Int,
    isFromBase: Bool
  ) {
    let kernels = unsafe KernelTable.current.kernels.pointee
    unsafe integers.withUnsafeBufferPointer { integers in
      forEachTensor(in: part) { entry, range, at in
        let source =
          unsafe isFromBase
          ? entry.tensor.bytes + range.lowerBound * entry.tensor.type.byteCount
          : UnsafeRawPointer(masterAddress(at))
        unsafe kernels.form_weights(
          source,
          Int32((isFromBase ? entry.tensor.type : .f32).rawValue),
          integers.baseAddress.map { unsafe $0 + (at - part.lowerBound) },
          Int32(scaleExponent),
          masterAddress(at),
          Int64(range.count)
        )
      }
    }
  }

  /// A copy of the present weights.
  public func copyOfWeights() -> AlignedBuffer {
    let copy = AlignedBuffer(byteCount: master.byteCount)
    unsafe copy.baseAddress.copyMemory(from: master.baseAddress, byteCount: master.byteCount)
    return copy
  }

  /// Copies the present weights to where a copy of them is.
  public func copyWeights(to copy: AlignedBuffer) {
    precondition(copy.byteCount == master.byteCount, "a copy of other weights")
    unsafe copy.baseAddress.copyMemory(from: master.baseAddress, byteCount: master.byteCount)
  }

  /// w ← a copy that was made of these weights.
  public func restore(_ copy: AlignedBuffer) {
    precondition(copy.byteCount == master.byteCount, "a copy of other weights")
    unsafe master.baseAddress.copyMemory(from: copy.baseAddress, byteCount: master.byteCount)
  }

  /// Generates the direction that the next perturbed runs and `move` use.
  public func setDirection(_ direction: Direction) {
    precondition(perturbs, "a workspace without room for directions")
    guard direction != present else { return }
    present = direction
    let count = table.trainableCount
    let size = 1 << 17
    team.run(tasks: (count + size - 1) / size) { task, _ in
      let range = task * size..<min(count, (task + 1) * size)
      let words = unsafe UnsafeMutableBufferPointer(
        rebasing: signs.words[(range.lowerBound / 64)..<((range.upperBound + 127) / 128 * 2)]
      )
      var span = unsafe MutableSpan(_unsafeElements: words)
      direction.bank.fillSigns(direction.index, elements: range, into: &span)
    }
  }

  /// w ← w + step · z along the direction set last.
  public func move(by step: Float) {
    let kernels = unsafe KernelTable.current.kernels.pointee
    let count = table.trainableCount
    let size = 1 << 16
    team.run(tasks: (count + size - 1) / size) { task, _ in
      let start = task * size
      unsafe kernels.apply_signs(
        masterAddress(start),
        signs.words.baseAddress,
        Int64(start),
        Int64(min(size, count - start)),
        step
      )
    }
  }

  /// The present weights of a trainable tensor.
  public func weights(of name: String) -> [Float]? {
    guard let position = table.position(name), let start = table.entries[position].start else {
      return nil
    }
    let count = table.entries[position].tensor.shape.elementCount
    return unsafe Array(UnsafeBufferPointer(start: masterAddress(start), count: count))
  }

  @unsafe func masterAddress(_ element: Int) -> UnsafeMutablePointer<Float> {
    unsafe master.baseAddress.assumingMemoryBound(to: Float.self) + element
  }

  private func eachPart(
    blockSize: Int,
    _ body: (WeightTable.Entry, _ range: Range<Int>, _ at: Int) -> Void
  ) {
    let count = table.trainableCount
    team.run(tasks: (count + blockSize - 1) / blockSize) { task, _ in
      forEachTensor(in: task * blockSize..<min(count, (task + 1) * blockSize), body)
    }
  }

  /// Calls `body` with the parts of tensors that trainable elements `part` are: the tensor, its
  /// elements, and the first of them as trainable element.
  private func forEachTensor(
    in part: Range<Int>,
    _ body: (WeightTable.Entry, _ range: Range<Int>, _ at: Int) -> Void
  ) {
    for entry in table.entries {
      guard let start = entry.start, start < part.upperBound else { continue }
      let lower = max(part.lowerBound, start)
      let upper = min(part.upperBound, start + entry.tensor.shape.elementCount)
      if lower < upper { body(entry, lower - start..<upper - start, lower) }
    }
  }
}

/// What a matrix of the table was packed for.
private struct PanelKey: Hashable {
  let position: Int
  let layout: PanelLayout
}
