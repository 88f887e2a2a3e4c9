// Apache-2.0.
public import Codecs
import Synchronization

/// The weights of a model in a folder: `model.safetensors`, or the shards that
/// `model.safetensors.index.json` lists.
public final class Checkpoint: Sendable {
  /// The folder.
  public let directory: String
  /// Every tensor, bytewise by name: the canonical order.
  public let tensors: [SafetensorsEntry]

  private let shards: [SafetensorsFile]
  /// The shard of each tensor.
  private let homes: [Int]
  private let positions: [String: Int]
  private let knownDigest = Mutex<Digest?>(nil)

  /// The name of an unsharded checkpoint.
  public static let fileName = "model.safetensors"
  /// The name of the list of shards.
  public static let indexName = "model.safetensors.index.json"
  /// More shards than any model has.
  static let maximumShards = 4096

  /// Opens and checks the checkpoint of a folder; a single file is preferred to shards.
  ///
  /// - Parameter fileName: of the single file.
  /// - Throws: `ModelFileError` where there is none, or a file of it breaks its format.
  public init(
    directory: String,
    fileName: String = Checkpoint.fileName
  ) throws(ModelFileError) {
    self.directory = directory
    let single = "\(directory)/\(fileName)"
    let index = "\(directory)/\(Self.indexName)"
    var found: [(entry: SafetensorsEntry, home: Int)] = []
    if ModelFolder.exists(single) || !ModelFolder.exists(index) {
      let file = try SafetensorsFile(path: single)
      found = file.header.entries.map { ($0, 0) }
      shards = [file]
    } else {
      var files: [SafetensorsFile] = []
      var homes: [String: Int] = [:]
      for (name, shard) in try Self.weightMap(index) {
        let home: Int
        if let known = homes[shard] {
          home = known
        } else {
          home = files.count
          homes[shard] = home
          files.append(try SafetensorsFile(path: "\(directory)/\(shard)"))
        }
        found.append((try files[home].entry(name), home))
      }
      shards = files
    }
    found.sort { $0.entry.name.utf8.lexicographicallyPrecedes($1.entry.name.utf8) }
    tensors = found.map(\.entry)
    homes = found.map(\.home)
    positions = Dictionary(uniqueKeysWithValues: found.enumerated().map { ($1.entry.name, $0) })
  }

  /// Tensor names and the shards that hold them, each a plain file name.
  private static func weightMap(
    _ path: String
  ) throws(ModelFileError) -> [(name: String, shard: String)] {
    let root = try ModelFolder.json(path, limit: SafetensorsHeader.maximumBytes, uniqueKeys: true)
    var map: [(name: String, shard: String)] = []
    var shards = Set<String>()
    do throws(JSONError) {
      for (name, field) in try JSONField(root, path: "")["weight_map"].members() {
        let shard = try field.string()
        // The index is data of others: it must not lead out of the folder.
        guard shard.hasSuffix(".safetensors"), !shard.utf8.contains(UInt8(ascii: "/")) else {
          throw field.unexpected("the name of a .safetensors file of the same folder")
        }
        shards.insert(shard)
        guard shards.count <= maximumShards else {
          throw field.unexpected("at most \(maximumShards) shards")
        }
        map.append((name, shard))
      }
    } catch { throw .malformed(file: path, reason: "\(error)") }
    return map
  }

  /// Whether there is a tensor of this name.
  public func contains(_ name: String) -> Bool { positions[name] != nil }

  /// The entry of a tensor.
  ///
  /// - Throws: `ModelFileError.missingTensor`.
  public func entry(_ name: String) throws(ModelFileError) -> SafetensorsEntry {
    tensors[try position(name)]
  }

  /// The stored bytes of a tensor, aligned for its type.
  ///
  /// - Throws: `ModelFileError.missingTensor`, or `.unsupportedType` where its type is none that can
  ///   be computed with.
  public func bytes(of name: String) throws(ModelFileError) -> TensorBytes {
    let position = try position(name)
    let entry = tensors[position]
    return TensorBytes(file: shards[homes[position]], entry: entry, type: try entry.elementType())
  }

  /// Lets the system have back the memory of the files, until they are read again.
  public func releasePages() {
    for shard in shards { shard.file.releasePages() }
  }

  /// What names these weights, however they are cut into files: SHA-256 over the tensors in
  /// canonical order, each as name, type, extents and bytes.
  ///
  ///     "samara checkpoint 1", varint count of tensors, then for each tensor:
  ///     string name, string type, varint rank, varint extent…, u64 bytes, the bytes
  ///
  /// The first call reads every byte; later ones answer at once.
  public var digest: Digest {
    knownDigest.withLock { known in
      if let known { return known }
      let made = computeDigest()
      known = made
      return made
    }
  }

  private func computeDigest() -> Digest {
    var hasher = SHA256()
    var head = ByteWriter()
    head.write(string: "samara checkpoint 1")
    head.write(count: tensors.count)
    for (entry, home) in zip(tensors, homes) {
      head.write(string: entry.name)
      head.write(string: entry.type)
      head.write(count: entry.shape.count)
      for extent in entry.shape { head.write(count: extent) }
      head.write(UInt64(entry.range.count))
      hasher.update(head.bytes)
      head = ByteWriter()
      // SAFETY: the shard lives as long as this object; the span ends with the statement.
      hasher.update(unsafe RawSpan(_unsafeBytes: shards[home].bytes(of: entry)))
    }
    hasher.update(head.bytes)
    return hasher.finalize()
  }

  private func position(_ name: String) throws(ModelFileError) -> Int {
    guard let position = positions[name] else {
      throw .missingTensor(file: directory, name: name)
    }
    return position
  }
}
