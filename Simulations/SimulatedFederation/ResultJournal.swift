// Apache-2.0.
import Codecs
import Coordination
public import FederatedCore
import ModelFiles
import Participation
import Synchronization

/// What simulated machines computed, kept on disk, so that a simulation that was killed goes on.
///
/// All else of a simulation is decided by virtual time and takes next to none of the real one: a
/// simulation that is resumed plays the same events again from the first, and takes from the journal
/// what was computed before. So it comes to the same bits and the same event log.
///
///     "SMJ1" | digest of the configuration 32
///     for each piece of work, in the order in which it was done:
///         length u32 | the first 8 bytes of SHA-256 of the rest | ticket varint | kind u8 | outcome
///
/// What a kill left of the last entry is cut off.
public final class ResultJournal: Sendable {
  private struct Entries: ~Copyable {
    var file: AppendFile
    /// What was there and is not taken yet, by ticket.
    var contents: [Int: Range<Int>]
  }

  /// Entries that were there.
  public let found: Int
  private let path: String
  private let mapped: MappedFile?
  private let entries: Mutex<Entries>
  private static let mark: [UInt8] = Array("SMJ1".utf8)
  private static let headerBytes = 4 + 32

  /// The journal at `path`.
  ///
  /// - Parameters:
  ///   - configuration: of the run; a journal of another one is refused.
  ///   - resumes: whether a file that is there is gone on with; it is refused otherwise.
  /// - Throws: `SimulationError.journal`, `ModelFileError`.
  public init(path: String, _ configuration: RunConfiguration, resumes: Bool) throws {
    self.path = path
    let exists = ModelFolder.exists(path)
    if exists, !resumes {
      throw SimulationError.journal("\(path) is there already: go on with --resume, or remove it")
    }
    let header = Self.mark + configuration.digest.bytes
    mapped = exists ? try MappedFile(path: path) : nil
    var kept = 0
    var contents: [Int: Range<Int>] = [:]
    // A header that is cut short belongs to a run that had not begun.
    if let mapped, mapped.byteCount >= Self.headerBytes {
      guard Self.copy(mapped, 0..<Self.headerBytes) == header else {
        throw SimulationError.journal(
          "\(path) belongs to another run or another version of the run file"
        )
      }
      (contents, kept) = try Self.contents(of: mapped)
    }
    found = contents.count
    var file = try AppendFile(path: path, keeping: kept)
    if kept == 0 { try file.write(header) }
    entries = Mutex(Entries(file: file, contents: contents))
  }

  /// The outcome of a piece of work, nil where it was not computed yet.
  ///
  /// - Throws: `SimulationError.journal` where it cannot be read.
  func outcome(_ ticket: Int) throws -> WorkOutcome? {
    guard let range = entries.withLock({ $0.contents.removeValue(forKey: ticket) }), let mapped
    else { return nil }
    do throws(CodecError) {
      var reader = ByteReader(Self.copy(mapped, range))
      _ = try reader.readVarint()
      let outcome = try WorkOutcome(from: &reader)
      try reader.finish()
      return outcome
    } catch {
      throw SimulationError.journal("\(path): \(error); use the program that wrote it")
    }
  }

  /// Adds an outcome; it is safe from a kill of the process when this returns.
  func append(_ ticket: Int, _ outcome: WorkOutcome) throws {
    var content = ByteWriter()
    content.writeVarint(UInt64(ticket))
    outcome.encode(into: &content)
    var entry = ByteWriter()
    entry.write(UInt32(content.bytes.count))
    entry.write(bytes: Digest.sha256(of: content.bytes).bytes.prefix(8))
    entry.write(bytes: content.bytes)
    try entries.withLock { try $0.file.write(entry.bytes) }
  }

  /// Entries that are whole, and where the last of them ends.
  private static func contents(of file: MappedFile) throws -> ([Int: Range<Int>], end: Int) {
    var contents: [Int: Range<Int>] = [:]
    var start = headerBytes
    while start + 12 <= file.byteCount {
      let head = copy(file, start..<start + 12)
      let length = (0..<4).reduce(0) { $0 | Int(head[$1]) << (8 * $1) }
      let range = start + 12..<start + 12 + length
      guard range.upperBound <= file.byteCount, case let content = copy(file, range),
        Digest.sha256(of: content).bytes.prefix(8).elementsEqual(head[4...])
      else { break }
      var reader = ByteReader(content)
      contents[Int(clamping: try reader.readVarint())] = range
      start = range.upperBound
    }
    return (contents, start)
  }

  private static func copy(_ file: MappedFile, _ range: Range<Int>) -> [UInt8] {
    // SAFETY: the range lies within the file and is copied at once.
    unsafe Array(file.bytes(range))
  }
}
