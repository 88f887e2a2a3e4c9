// Apache-2.0.

/// How the output of a linear layer is cut for a team of threads.
///
/// Every task packs its rows of the input and its rows of the weight, so the grid that packs least is
/// taken among those that give each thread enough tasks.
public struct TileGrid: Sendable {
  private let rows: Int
  private let columns: Int
  private let rowStep: Int
  private let columnStep: Int
  private let columnParts: Int

  /// Tiles hold a whole number of the widest micro-kernel's columns.
  static let columnGrain = 64
  /// Tiles hold whole micro-kernels of 14 and nearly whole ones of 8 rows.
  static let rowGrain = 56

  /// The grid for an output [rows, columns].
  public init(rows: Int, columns: Int, threads: Int) {
    self.rows = rows
    self.columns = columns
    let rowGrains = max(1, (rows + Self.rowGrain - 1) / Self.rowGrain)
    let columnGrains = max(1, (columns + Self.columnGrain - 1) / Self.columnGrain)
    var best = (cost: Double.infinity, rowStep: rowGrains, columnStep: columnGrains)
    for rowParts in 1...min(rowGrains, threads * 2) {
      for columnParts in 1...min(columnGrains, threads * 2) {
        let rowStep = (rowGrains + rowParts - 1) / rowParts
        let columnStep = (columnGrains + columnParts - 1) / columnParts
        let made =
          ((rowGrains + rowStep - 1) / rowStep) * ((columnGrains + columnStep - 1) / columnStep)
        // Products of the fullest thread, and what a task packs (a weight costs about twice an input).
        let turns = Double((made + threads - 1) / threads)
        let product = Double(rowStep * Self.rowGrain) * Double(columnStep * Self.columnGrain)
        let packed = Double(rowStep * Self.rowGrain + 2 * columnStep * Self.columnGrain)
        let cost = turns * (product + 8 * packed)
        if cost < best.cost { best = (cost, rowStep, columnStep) }
      }
    }
    rowStep = best.rowStep * Self.rowGrain
    columnStep = best.columnStep * Self.columnGrain
    columnParts = max(1, (columns + columnStep - 1) / columnStep)
  }

  /// Number of tiles.
  public var count: Int { columnParts * ((rows + rowStep - 1) / rowStep) }

  /// Rows and columns of a tile.
  public subscript(task: Int) -> (rows: Range<Int>, columns: Range<Int>) {
    let m = task / columnParts * rowStep
    let n = task % columnParts * columnStep
    return (m..<min(rows, m + rowStep), n..<min(columns, n + columnStep))
  }
}
