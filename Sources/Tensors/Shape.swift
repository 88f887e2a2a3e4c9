// Apache-2.0.

/// The extents of a row-major tensor, outermost first.
public struct Shape: Sendable, Hashable, CustomStringConvertible, ExpressibleByArrayLiteral {
  /// Extents, none negative.
  public let dimensions: [Int]

  /// A shape of `dimensions`; traps on a negative extent or a product beyond `Int`.
  public init(_ dimensions: [Int]) {
    precondition(dimensions.allSatisfy { $0 >= 0 }, "a negative extent in \(dimensions)")
    self.dimensions = dimensions
    elementCount = dimensions.reduce(1, *)
  }

  /// A shape written as a literal.
  public init(arrayLiteral elements: Int...) { self.init(elements) }

  /// Number of elements; 1 for a scalar.
  public let elementCount: Int

  /// Number of dimensions.
  public var rank: Int { dimensions.count }

  /// Extent of the last dimension; 1 for a scalar.
  public var columns: Int { dimensions.last ?? 1 }

  /// Product of all extents but the last; 1 for a scalar.
  public var rows: Int { dimensions.dropLast().reduce(1, *) }

  /// The extent of one dimension.
  public subscript(dimension: Int) -> Int { dimensions[dimension] }

  /// As in `[2, 3]`.
  public var description: String { "\(dimensions)" }
}
