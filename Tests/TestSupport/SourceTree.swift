// Apache-2.0.

/// The tree the tests were built from: golden files and examples are read where they stand.
public enum SourceTree {
  /// The folder of `Package.swift`.
  public static let root =
    "/" + #filePath.split(separator: "/").dropLast(3).joined(separator: "/")

  /// A file or folder of `Tests/Golden`.
  public static func golden(_ name: String) -> String { "\(root)/Tests/Golden/\(name)" }
}
