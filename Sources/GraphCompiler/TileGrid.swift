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

  /// Tiles hold a whole number of the columns of micro-kernels.
  static let columnGrain = 32

  /// What a tile is made of, and what packing its operands costs.
  public struct Kernel: Sendable {
    /// Rows of which tiles hold a whole number.
    let rowGrain: Int
    /// Multiply-adds that packing a row costs, for each term.
    let row: Double
    /// The same of a column.
    let column: Double

    /// Vectors: whole micro-kernels of 14 rows.
    public static let vectors = Kernel(rowGrain: 28, row: 8, column: 16)
    /// The tile unit.
    public static let parts = Kernel(rowGrain: 32, row: 24, column: 40)

    private init(rowGrain: Int, row: Double, column: Double) {
      self.rowGrain = rowGrain
      self.row = row
      self.column = column
    }
  }

  /// The grid for an output [rows, columns].
  public init(rows: Int, columns: Int, threads: Int, kernel: Kernel = .vectors) {
    self.rows = rows
    self.columns = columns
    let rowGrain = kernel.rowGrain
    let rowGrains = max(1, (rows + rowGrain - 1) / rowGrain)
    let columnGrains = max(1, (columns + Self.columnGrain - 1) / Self.columnGrain)
    var best = (cost: Double.infinity, rowStep: rowGrains, columnStep: columnGrains)
    for rowParts in 1...min(rowGrains, threads * 2) {
      for columnParts in 1...min(columnGrains, threads * 2) {
        let rowStep = (rowGrains + rowParts - 1) / rowParts
        let columnStep = (columnGrains + columnParts - 1) / columnParts
        let made =
          ((rowGrains + rowStep - 1) / rowStep) * ((columnGrains + columnStep - 1) / columnStep)
        // Products of the fullest thread, and what a task packs.
        let turns = Double((made + threads - 1) / threads)
        let (m, n) = (Double(rowStep * rowGrain), Double(columnStep * Self.columnGrain))
        let cost = turns * (m * n + kernel.row * m + kernel.column * n)
        if cost < best.cost { best = (cost, rowStep, columnStep) }
      }
    }
    rowStep = best.rowStep * rowGrain
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
