// Apache-2.0.
import CKernels
import Tensors

/// Matrix products of one call, cut into disjoint tiles for the team.
///
/// Which tile a thread gets changes no bit: every element is summed in one order. Those of gradients
/// may be taken by parts.
extension KernelCall {
  /// Y [rows, columns] = X · Wᵀ, all but the range and the scratch taken from `arguments`.
  @unsafe func linear(_ arguments: samara_linear_args, rows: Int, columns: Int) {
    let kernels = unsafe self.kernels
    tiles(rows, columns, byParts: unsafe arguments.by_parts != 0) { m, n, thread in
      var tile = unsafe arguments
      unsafe tile.m_begin = Int64(m.lowerBound)
      unsafe tile.m_end = Int64(m.upperBound)
      unsafe tile.n_begin = Int64(n.lowerBound)
      unsafe tile.n_end = Int64(n.upperBound)
      unsafe tile.scratch = scratch(thread)
      unsafe kernels.linear(&tile)
    }
  }

  /// dX [rows, columns] = dY · W, all but the range and the scratch taken from `arguments`.
  @unsafe func linearInputGradient(
    _ arguments: samara_linear_input_gradient_args,
    rows: Int,
    columns: Int
  ) {
    let kernels = unsafe self.kernels
    tiles(rows, columns, byParts: true) { m, k, thread in
      var tile = unsafe arguments
      unsafe tile.m_begin = Int64(m.lowerBound)
      unsafe tile.m_end = Int64(m.upperBound)
      unsafe tile.k_begin = Int64(k.lowerBound)
      unsafe tile.k_end = Int64(k.upperBound)
      unsafe tile.scratch = scratch(thread)
      unsafe tile.by_parts = 1
      unsafe kernels.linear_input_gradient(&tile)
    }
  }

  /// dW [rows, columns] = dYᵀ · X, all but the range and the scratch taken from `arguments`.
  @unsafe func linearWeightGradient(
    _ arguments: samara_linear_weight_gradient_args,
    rows: Int,
    columns: Int
  ) {
    let kernels = unsafe self.kernels
    tiles(rows, columns, byParts: true) { n, k, thread in
      var tile = unsafe arguments
      unsafe tile.n_begin = Int64(n.lowerBound)
      unsafe tile.n_end = Int64(n.upperBound)
      unsafe tile.k_begin = Int64(k.lowerBound)
      unsafe tile.k_end = Int64(k.upperBound)
      unsafe tile.scratch = scratch(thread)
      unsafe tile.by_parts = 1
      unsafe kernels.linear_weight_gradient(&tile)
    }
  }

  private func tiles(
    _ rows: Int,
    _ columns: Int,
    byParts: Bool,
    _ body: (_ rows: Range<Int>, _ columns: Range<Int>, _ thread: Int) -> Void
  ) {
    let hasTiles = unsafe kernels.isa == Int32(InstructionSet.amx.rawValue)
    let tiles = TileGrid(
      rows: rows,
      columns: columns,
      threads: team.threadCount,
      kernel: byParts && hasTiles ? .parts : .vectors
    )
    team.run(tasks: tiles.count) { task, thread in
      let (m, n) = tiles[task]
      body(m, n, thread)
    }
  }
}
