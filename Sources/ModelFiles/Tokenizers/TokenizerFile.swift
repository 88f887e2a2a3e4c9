// Apache-2.0.
import Codecs

/// The tokenizer of a model's folder.
public enum TokenizerFile {
  /// The file's name in a folder.
  public static let name = "tokenizer.json"
  /// Longer files are refused; the largest vocabularies take some 35 MB.
  static let maximumBytes = 128 << 20

  /// Reads `tokenizer.json` of a folder.
  ///
  /// - Throws: `ModelFileError` where it is missing or malformed, or asks for a part that is not
  ///   supported, which it names.
  public static func load(directory: String) throws(ModelFileError) -> any Tokenizer {
    let path = "\(directory)/\(name)"
    return try parse(try ModelFolder.bytes(path, limit: maximumBytes), file: path)
  }

  /// Reads the bytes of a `tokenizer.json`; `file` is what errors call it.
  public static func parse(
    _ bytes: [UInt8],
    file: String = name
  ) throws(ModelFileError) -> any Tokenizer {
    do throws(JSONError) {
      return try PipelineTokenizer(try TokenizerDocument(bytes))
    } catch { throw .malformed(file: file, reason: "\(error)") }
  }
}
