// Apache-2.0.
import ModelFiles

/// A tokenizer.json, and behind a NUL a text for it: what loads must encode and decode anything.
let tokenizerFuzzTarget = FuzzTarget("tokenizer") { bytes in
  let parts = bytes.split(separator: 0, maxSplits: 1, omittingEmptySubsequences: false)
  guard let tokenizer = try? TokenizerFile.parse(Array(parts[0])) else { return }
  let text = parts.count == 2 ? String(decoding: parts[1], as: UTF8.self) : "Text, 12 <s> é"
  for marked in [false, true] {
    let ids = tokenizer.encode(text, addSpecialTokens: marked)
    _ = tokenizer.decode(ids, skipSpecialTokens: marked)
  }
  for id in Int32(-1)...Int32(min(tokenizer.vocabularyCount, 300)) { _ = tokenizer.token(of: id) }
  _ = tokenizer.decode([-1, .max, 0, 1, 2], skipSpecialTokens: false)
}

/// A text for small tokenizers of every kind: the same ids whatever was encoded before, and a
/// byte-level one gives the text back.
let textFuzzTarget = FuzzTarget("text") { bytes in
  let text = String(decoding: bytes, as: UTF8.self)
  for (tokenizer, keepsText) in smallTokenizers {
    let ids = tokenizer.encode(text, addSpecialTokens: false)
    precondition(tokenizer.encode(text, addSpecialTokens: false) == ids, "ids depend on the past")
    let decoded = tokenizer.decode(ids, skipSpecialTokens: false)
    precondition(!keepsText || decoded.utf8.elementsEqual(text.utf8), "\(text) became \(decoded)")
  }
}

/// Tokenizers of a few tokens, and whether decoding what they encode gives the very text.
private let smallTokenizers: [(any Tokenizer, Bool)] = {
  let byteTokens = ByteSpelling.tokens.enumerated().map { #""\#($1)":\#($0)"# }
  let bytes = byteTokens.joined(separator: ",")
  let head = #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}"#
  let tail = #"| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"#
  let files = [
    #"""
    {"pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false,"use_regex":true},
    "decoder":{"type":"ByteLevel"},"model":{"type":"BPE","vocab":{\#(bytes),"th":256,"the":257,
    "Ġthe":258,"aa":259},"merges":["t h","th e","Ġ the","a a"]}}
    """#,
    #"""
    {"added_tokens":[{"id":257,"content":"<|x|>","special":true,"lstrip":true,"rstrip":true,
    "single_word":true,"normalized":false}],"pre_tokenizer":{"type":"Split",
    "pattern":{"Regex":"\#(head + tail)"},"behavior":"Isolated","invert":false},
    "normalizer":{"type":"NFC"},"model":{"type":"BPE","byte_fallback":true,
    "unk_token":"a","vocab":{\#(bytes),"ab":256},"merges":[["a","b"]]}}
    """#,
    #"""
    {"normalizer":{"type":"BertNormalizer","clean_text":true,"handle_chinese_chars":true,
    "strip_accents":true,"lowercase":true},"pre_tokenizer":{"type":"BertPreTokenizer"},
    "decoder":{"type":"WordPiece","prefix":"##","cleanup":true},"model":{"type":"WordPiece",
    "unk_token":"a","vocab":{\#(bytes),"##a":256,"##b":257,"##ab":258}}}
    """#,
  ]
  return files.enumerated().compactMap { position, file in
    (try? TokenizerFile.parse(Array(file.utf8))).map { ($0, position == 0) }
  }
}()

/// The characters that stand for the 256 bytes, as JSON text.
private enum ByteSpelling {
  static let tokens: [String] = {
    var free: UInt32 = 256
    return (0..<256).map { (byte: UInt32) in
      var character = byte
      switch byte {
      case 33...126, 161...172, 174...255: break
      default:
        character = free
        free += 1
      }
      let text = Unicode.Scalar(character).map { String(Character($0)) } ?? ""
      return text == "\"" || text == "\\" ? "\\" + text : text
    }
  }()
}
