// Apache-2.0.
import Codecs
import Synchronization

/// A tokenizer as `tokenizer.json` describes it: normaliser, pre-tokeniser, model, template, decoder.
final class PipelineTokenizer: Tokenizer {
  private enum Model: Sendable {
    case bytePair(BytePairModel)
    case wordPiece(WordPieceModel)

    var vocabulary: Vocabulary {
      switch self {
      case .bytePair(let model): model.vocabulary
      case .wordPiece(let model): model.vocabulary
      }
    }
  }

  private let normalizer: Normalizer?
  private let preTokenizer: PreTokenizer
  private let model: Model
  private let added: AddedTokens
  private let template: SpecialTemplate
  private let decoder: TokenDecoder?
  private let idle = Mutex<[TokenizerScratch]>([])

  let vocabularyCount: Int
  let specialTokens: [Int32]

  /// Reads a document; truncation and padding that it asks for are left to the caller.
  init(_ document: TokenizerDocument) throws(JSONError) {
    let root = document.root
    normalizer = try Normalizer.read(root["normalizer"])
    preTokenizer = try PreTokenizer(root["pre_tokenizer"])
    let field = root["model"]
    switch try Self.kind(document) {
    case "BPE":
      model = .bytePair(try BytePairModel(document, isByteLevel: preTokenizer.isByteLevel))
    case "WordPiece":
      guard !preTokenizer.isByteLevel else { throw field["type"].unexpected("BPE for byte level") }
      model = .wordPiece(try WordPieceModel(document))
    case let other: throw field["type"].unexpected("BPE or WordPiece, not \(other)")
    }
    let vocabulary = model.vocabulary
    added = try AddedTokens(
      root["added_tokens"],
      vocabulary: vocabulary,
      normalizer: normalizer
    )
    template = try SpecialTemplate(root["post_processor"])
    decoder = try TokenDecoder.read(root["decoder"])
    specialTokens = added.specialIDs
    vocabularyCount = max(vocabulary.count, Int(added.byID.keys.max() ?? -1) + 1)
  }

  /// The model's kind; files of early versions do not say it.
  private static func kind(_ document: TokenizerDocument) throws(JSONError) -> String {
    let field = document.root["model"]["type"]
    if field.isPresent { return try field.string() }
    return document.merges == nil ? "WordPiece" : "BPE"
  }

  func id(of token: String) -> Int32? {
    let bytes = Array(token.utf8)
    return added.id(of: bytes) ?? model.vocabulary.id(of: bytes)
  }

  func token(of id: Int32) -> String? { bytes(of: id).map { String(decoding: $0, as: UTF8.self) } }

  private func bytes(of id: Int32) -> [UInt8]? {
    added.byID[id]?.content ?? model.vocabulary.bytes(of: id).map { Array($0) }
  }

  func encode(_ text: String, addSpecialTokens: Bool) -> [Int32] {
    let bytes = Array(text.utf8)
    let scratch = idle.withLock { $0.popLast() } ?? TokenizerScratch()
    defer { idle.withLock { $0.append(scratch) } }
    var ids: [Int32] = addSpecialTokens ? template.before : []
    var isFirst = true
    for part in added.split(bytes, normalized: false) {
      switch part {
      case .token(let id): ids.append(id)
      case .text(let range):
        let slice = range.count == bytes.count ? bytes : Array(bytes[range])
        encode(normalizer?.apply(slice) ?? slice, isFirst: isFirst, scratch, into: &ids)
      }
      isFirst = false
    }
    if addSpecialTokens { ids += template.behind }
    return ids
  }

  /// Appends the tokens of a normalised text.
  private func encode(
    _ text: [UInt8],
    isFirst: Bool,
    _ scratch: TokenizerScratch,
    into ids: inout [Int32]
  ) {
    var isFirst = isFirst
    for part in added.split(text, normalized: true) {
      switch part {
      case .token(let id): ids.append(id)
      case .text(let range):
        let slice = range.count == text.count ? text : Array(text[range])
        var pieces = Pieces(slice, isFirst: isFirst)
        preTokenizer.apply(&pieces)
        switch model {
        case .bytePair(let model): model.encode(pieces, scratch, into: &ids)
        case .wordPiece(let model): model.encode(pieces, scratch, into: &ids)
        }
      }
      isFirst = false
    }
  }

  func decode(_ ids: [Int32], skipSpecialTokens: Bool) -> String {
    var tokens = ids.compactMap { bytes(of: $0) }
    if skipSpecialTokens { tokens.removeAll { added.isSpecial($0) } }
    guard let decoder else {
      return String(decoding: Array(tokens.joined(separator: [0x20])), as: UTF8.self)
    }
    return String(decoding: Array(decoder.apply(tokens).joined()), as: UTF8.self)
  }
}
