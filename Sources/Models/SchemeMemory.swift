// Apache-2.0.
import GraphCompiler

/// What sparse updates of an int8 convolutional network keep beside its forward pass, by the analytic
/// model of "On-Device Training Under 256KB Memory" (arXiv 2206.15472, as its public code counts).
///
/// A convolution whose bias is updated keeps a bit for each element of its result, whether that was
/// clamped, and its bias of four bytes a channel. One whose weight is updated keeps besides the updated
/// input channels of its input and of its weight, a byte an element. The classifier keeps its input.
/// Its own weight, which is always updated, is not counted.
public struct SchemeMemory: Sendable {
  /// A convolution in the order of the network.
  public struct Layer: Sendable, Hashable {
    /// Name of its weight.
    public let name: String
    /// Channels of its input.
    public let inputs: Int
    /// Channels of its result.
    public let outputs: Int
    /// Pixels of its input.
    public let inputPixels: Int
    /// Pixels of its result.
    public let outputPixels: Int
    /// Elements of its window.
    public let area: Int
    /// Whether every channel has a window of its own.
    public let isDepthwise: Bool
  }

  /// The convolutions.
  public let layers: [Layer]
  /// Channels the classifier reads.
  public let features: Int

  /// Bytes kept by a scheme.
  ///
  /// - Parameters:
  ///   - biases: how many of the last convolutions update their bias.
  ///   - weights: the share of input channels updated, by the place of the convolution from 0; of a
  ///     depthwise convolution the share of its channels.
  public func bytes(biases: Int, weights: [Int: Double]) -> Double {
    var total = Double(features)
    for (index, layer) in layers.enumerated() {
      if index >= layers.count - biases {
        total += Double(layer.outputs * layer.outputPixels) / 8 + Double(4 * layer.outputs)
      }
      guard let share = weights[index] else { continue }
      let channels = Int(share * Double(layer.inputs))
      let width = layer.isDepthwise ? 1 : layer.outputs
      total += Double(channels * layer.inputPixels + channels * width * layer.area)
    }
    return total
  }

  /// Bytes kept where the parameters `columns` say are updated, by their names: nil of a matrix whose
  /// every input channel is, else how many.
  ///
  /// Biases count from the first convolution that updates anything: gradients pass all that follow, and
  /// each of these keeps its bits.
  public func bytes(updating columns: [String: Int?]) -> Double {
    func bias(_ layer: Layer) -> String { layer.name.dropLast("weight".count) + "bias" }
    let first = layers.firstIndex { columns[$0.name] != nil || columns[bias($0)] != nil }
    var weights: [Int: Double] = [:]
    for (index, layer) in layers.enumerated() {
      guard let chosen = columns[layer.name] else { continue }
      let count = layer.isDepthwise ? layer.inputs : layer.inputs * layer.area
      weights[index] = Double(chosen ?? count) / Double(count)
    }
    let last = layers.count - (first ?? layers.count)
    var total = bytes(biases: last, weights: weights)
    for layer in layers.suffix(last) where columns[bias(layer)] == nil {
      total -= Double(4 * layer.outputs)
    }
    return total
  }
}

extension ConvolutionalNetwork {
  /// The network's extents as the analytic model of memory counts them.
  public var schemeMemory: SchemeMemory {
    var layers: [SchemeMemory.Layer] = []
    let stem = Window(height: height, width: width, size: 3, stride: 2)
    layers.append(
      SchemeMemory.Layer(
        name: "stem.conv.weight",
        inputs: channels,
        outputs: body.stem,
        inputPixels: stem.pixels,
        outputPixels: stem.outputPixels,
        area: 9,
        isDepthwise: false
      )
    )
    var (rows, columns, inputs) = (stem.outputHeight, stem.outputWidth, body.stem)
    for (index, block) in body.blocks.enumerated() {
      let window = Window(height: rows, width: columns, size: block.size, stride: block.stride)
      func add(_ part: String, _ from: Int, _ to: Int, _ before: Int, _ after: Int, area: Int) {
        layers.append(
          SchemeMemory.Layer(
            name: "blocks.\(index).\(part).conv.weight",
            inputs: from,
            outputs: to,
            inputPixels: before,
            outputPixels: after,
            area: area,
            isDepthwise: part == "depthwise"
          )
        )
      }
      let (before, after) = (window.pixels, window.outputPixels)
      let within = block.expansion ?? inputs
      if block.expansion != nil { add("expand", inputs, within, before, before, area: 1) }
      add("depthwise", within, within, before, after, area: block.size * block.size)
      add("project", within, block.outputs, after, after, area: 1)
      (rows, columns, inputs) = (window.outputHeight, window.outputWidth, block.outputs)
    }
    return SchemeMemory(layers: layers, features: inputs)
  }
}
