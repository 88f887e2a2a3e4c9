// Apache-2.0.
public import Codecs
public import FederatedCore
import Glibc
import ModelFiles

/// A run as a file on this machine.
public enum RunFile {
  /// Another value of one key of a run file.
  public struct Change: Sendable, Equatable {
    /// Names from the outside in.
    public let path: [String]
    /// The value.
    public let value: JSONValue

    /// Reads `algorithm.steps=20`; what is not JSON is taken as text.
    ///
    /// - Throws: `FederationError.configuration` where there is no key or no value.
    public init(_ text: String) throws(FederationError) {
      guard let mark = text.firstIndex(of: "="), mark != text.startIndex else {
        throw .configuration(path: text, advice: "write KEY=VALUE, say rounds=3")
      }
      path = text[..<mark].split(separator: ".", omittingEmptySubsequences: false).map(String.init)
      let word = String(text[text.index(after: mark)...])
      value = (try? JSONValue.parse(Array(word.utf8), dialect: .json5)) ?? .string(word)
    }
  }

  /// The configuration in a file of JSON5, its relative paths placed in the file's own folder.
  ///
  /// Where it has an object `importance`, matrices for adapters are chosen now: on the model and the
  /// public examples that it names.
  ///
  /// - Parameters:
  ///   - changes: made in order, before anything is checked.
  ///   - note: told how important matrices are.
  /// - Throws: `ModelFileError` where it cannot be read, `JSONError` or `FederationError` where it is
  ///   refused.
  public static func read(
    _ path: String,
    changing changes: [Change] = [],
    note: (String) -> Void = { _ in }
  ) throws -> RunConfiguration {
    let bytes = try ModelFolder.bytes(path, limit: RunConfiguration.maximumBytes)
    let written = try RunConfiguration.syntax(json5: bytes)
    let folder = folder(of: absolute(path))
    return try configuration(of: written, changing: changes, in: folder, note: note)
  }

  /// The configuration of what a run file says, its relative paths placed in `folder`; as `read`.
  public static func configuration(
    of written: JSONValue,
    changing changes: [Change] = [],
    in folder: String,
    note: (String) -> Void = { _ in }
  ) throws -> RunConfiguration {
    let changed = changes.reduce(written) { $0.changing($1.path[...], to: $1.value) }
    let run = try RunConfiguration(changed.without(ImportanceSection.key)).resolved(against: folder)
    guard let importance = changed[ImportanceSection.key], importance != .null else { return run }
    let section = try ImportanceSection(importance, run)
    let scheme = try section.scheme(run, folder: folder, note: note)
    return try RunConfiguration(run.json.changing(["scheme"], to: .string(scheme)))
  }

  /// The absolute form of a path, which need not exist.
  public static func absolute(_ path: String) -> String {
    guard !path.hasPrefix("/") else { return path }
    // SAFETY: getcwd with no buffer returns one of its own, which is copied and given back.
    guard let here = unsafe getcwd(nil, 0) else { return path }
    defer { unsafe free(here) }
    return unsafe String(cString: here) + "/" + path
  }

  private static func folder(of path: String) -> String {
    "/" + path.split(separator: "/").dropLast().joined(separator: "/")
  }
}

extension JSONValue {
  /// The object without a key.
  fileprivate func without(_ key: String) -> JSONValue {
    guard case .object(let members) = self else { return self }
    return .object(members.filter { $0.key != key })
  }

  /// The value with another one at `path`, whose objects are made where they are missing.
  fileprivate func changing(_ path: ArraySlice<String>, to value: JSONValue) -> JSONValue {
    guard let key = path.first else { return value }
    var members: [Member] = []
    if case .object(let known) = self { members = known }
    let inner = (self[key] ?? .object([])).changing(path.dropFirst(), to: value)
    if let index = members.firstIndex(where: { $0.key == key }) {
      members[index] = Member(key, inner)
    } else {
      members.append(Member(key, inner))
    }
    return .object(members)
  }
}
