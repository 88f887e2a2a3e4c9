// Apache-2.0.
import Codecs
import Models
import Testing

/// The memory of the fifteen schemes published with arXiv 2206.15472.
@Suite("Memory of sparse int8 updates")
struct SchemeMemoryTests {
  private static func memory(_ architecture: String) throws -> SchemeMemory {
    let text = #"{"model_type":"samara_convolutional","architecture":\#(architecture)}"#
    let family = try ModelFamilies.open(try JSONValue.parse(Array(text.utf8))) { _ in false }
    return try #require(family as? ConvolutionalNetwork).schemeMemory
  }

  struct Scheme: CustomTestStringConvertible, Sendable {
    let net: String
    let biases: Int
    let weights: [Int: Double]
    let kilobytes: Double

    init(_ net: String, _ biases: Int, _ weights: [Int: Double], _ kilobytes: Double) {
      self.net = net
      self.biases = biases
      self.weights = weights
      self.kilobytes = kilobytes
    }

    var testDescription: String { "\(net) \(kilobytes) KB" }
  }

  private static let mcunet = #""mcunet-5fps""#
  private static let mobile = #""mobilenetv2","width_multiplier":0.35"#
  private static let proxyless = #""proxyless-0.3""#

  private static func all(_ indices: [Int]) -> [Int: Double] {
    Dictionary(uniqueKeysWithValues: indices.map { ($0, 1) })
  }

  static let schemes: [Scheme] = [
    Scheme(mcunet, 20, [24: 0.25, 27: 0.5, 30: 0.5], 49.8),
    Scheme(mcunet, 21, [21: 1, 24: 1, 27: 0.5, 30: 1], 74.8),
    Scheme(mcunet, 22, [21: 1, 24: 1, 27: 1, 30: 1, 36: 0.125, 39: 0.25], 99.8),
    Scheme(mcunet, 24, [21: 0.25, 24: 1, 27: 1, 30: 1, 33: 0.5, 39: 0.5], 125.0),
    Scheme(mcunet, 23, [21: 1, 24: 1, 27: 1, 30: 1, 36: 1, 39: 0.5], 148.4),
    Scheme(
      mobile,
      16,
      [36: 1, 39: 1, 41: 0.25, 42: 0.125, 45: 0.125, 48: 0.125, 49: 0.125],
      49.8
    ),
    Scheme(
      mobile,
      20,
      [32: 0.125, 33: 0.5, 36: 0.5, 39: 1, 41: 0.25, 42: 0.125, 45: 0.125, 48: 1],
      73.9
    ),
    Scheme(mobile, 25, [27: 1, 30: 1, 33: 1, 36: 1, 39: 1, 42: 0.125, 45: 0.5, 48: 1], 99.4),
    Scheme(mobile, 31, [27: 1, 30: 1, 33: 1, 36: 1, 39: 1, 42: 0.5, 45: 1, 48: 1], 123.6),
    Scheme(mobile, 34, all([27, 30, 33, 36, 39, 42, 45, 48]), 138.2),
    Scheme(proxyless, 21, [39: 0.25, 42: 1, 45: 1, 51: 0.125, 54: 0.25, 57: 0.25], 49.7),
    Scheme(
      proxyless,
      28,
      [33: 0.5, 36: 0.25, 39: 1, 42: 1, 45: 1, 51: 0.5, 54: 0.25, 57: 0.5],
      74.9
    ),
    Scheme(
      proxyless,
      25,
      [36: 1, 39: 0.5, 42: 1, 45: 1, 48: 0.25, 51: 0.5, 54: 1, 57: 1],
      98.5
    ),
    Scheme(
      proxyless,
      32,
      [36: 1, 39: 1, 42: 1, 45: 1, 48: 0.5, 51: 1, 54: 1, 57: 1],
      120.2
    ),
    Scheme(proxyless, 45, all([36, 39, 42, 45, 48, 51, 54, 57]), 148.2),
  ]

  @Test("Is the published one to a tenth of a kilobyte", arguments: schemes)
  func published(scheme: Scheme) throws {
    let bytes = try Self.memory(scheme.net).bytes(biases: scheme.biases, weights: scheme.weights)
    #expect(abs(bytes / 1024 - scheme.kilobytes) <= 0.051, "\(bytes / 1024)")
  }

  @Test("Is that of the last layers and of the whole, as published")
  func whole() throws {
    let memory = try Self.memory(Self.mcunet)
    func last(_ count: Int) -> Double {
      memory.bytes(biases: count, weights: Self.all(Array(42 - count..<42))) / 1024
    }
    #expect((last(12) * 10).rounded() == 4480)
    #expect(last(6).rounded() == 276)
    #expect(last(42).rounded() == 1400)
    #expect((memory.bytes(biases: 42, weights: [:]) / 1024).rounded() == 121)
  }

  @Test("Goes by the names of what a scheme updates")
  func names() throws {
    let memory = try Self.memory(Self.mobile)
    var columns: [String: Int?] = [:]
    for layer in memory.layers.suffix(16) {
      columns.updateValue(nil, forKey: String(layer.name.dropLast(6)) + "bias")
    }
    columns.updateValue(nil, forKey: memory.layers[36].name)
    columns.updateValue(memory.layers[48].inputs / 8, forKey: memory.layers[48].name)
    let wanted = memory.bytes(biases: 16, weights: [36: 1, 48: 0.125])
    #expect(memory.bytes(updating: columns) == wanted)
    columns.removeValue(forKey: "blocks.16.project.conv.bias")
    #expect(memory.bytes(updating: columns) == wanted - 4 * 112)
    #expect(memory.bytes(updating: [:]) == 112)
  }
}
