// Apache-2.0.
import FineTuning
import ModelFiles
import Models
import Tensors
import TestSupport

/// The tiny models of `Tests/Golden/logits` and what transformers computes with them.
struct Golden {
  static let names = [
    "llama", "llama-tied-bf16", "llama3-rope", "llama-linear-rope-biases", "llama-classes",
    "mistral-f16-sharded", "qwen2", "bert", "bert-classes",
    "gpt2", "gpt2-classes",
  ]

  let directory: String
  private let expected: SafetensorsFile

  init(_ name: String) throws {
    directory = Self.folder(name)
    expected = try SafetensorsFile(path: "\(directory)/expected.safetensors")
  }

  static func folder(_ name: String) -> String { SourceTree.golden("logits/\(name)") }

  func floats(_ name: String) throws -> [Float] {
    let entry = try expected.entry(name)
    // SAFETY: F32 elements, copied while the file is mapped.
    return unsafe expected.bytes(of: entry).withMemoryRebound(to: Float.self) { unsafe Array($0) }
  }

  var outputs: [String] {
    expected.header.entries.map(\.name).filter { !["input_ids", "lengths"].contains($0) }
  }

  var lengths: [Int32] { get throws { try floats("lengths").map { Int32($0) } } }

  var ids: [[Int32]] {
    get throws {
      let all = try floats("input_ids").map { Int32($0) }
      let width = all.count / (try lengths.count)
      return stride(from: 0, to: all.count, by: width).map { Array(all[$0..<$0 + width]) }
    }
  }
}
