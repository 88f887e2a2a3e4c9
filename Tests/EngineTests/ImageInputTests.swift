// Apache-2.0.
import Datasets
import FineTuning
import ModelFiles
import TestSupport
import Testing

@Suite("Pictures as a model reads them")
struct ImageInputTests {
  /// The input of the golden network in a folder of its own, beside it `preprocessor_config.json`.
  private func input(_ settings: String?) throws -> ImageInput? {
    var made: ImageInput?
    try withTemporaryFolder { folder in
      for name in ["config.json", "model.safetensors"] {
        let bytes = try ModelFolder.bytes("\(GoldenVision.folder("tiny"))/\(name)", limit: 1 << 20)
        try ModelFolder.write(bytes, to: "\(folder)/\(name)")
      }
      if let settings {
        try ModelFolder.write(Array(settings.utf8), to: "\(folder)/preprocessor_config.json")
      }
      made = try LoadedModel(ModelRequest(directory: folder)).imageInput()
    }
    return made
  }

  @Test("Extents are the model's, means those of its folder, else ImageNet's")
  func settings() throws {
    let plain = try #require(try input(nil))
    #expect((plain.height, plain.width, plain.channels) == (14, 18, 3))
    #expect(plain.mean == [0.485, 0.456, 0.406] && plain.deviation == [0.229, 0.224, 0.225])
    let own = try #require(
      try input(
        #"{"image_mean": [0.5, 0.25, 0.125], "image_std": [0.5], "rescale_factor": 0.00392156862745098}"#
      )
    )
    #expect(own.mean == [0.5, 0.25, 0.125] && own.deviation == [0.5, 0.5, 0.5])
    let raw = try #require(try input(#"{"do_normalize": false, "image_mean": [9, 9, 9]}"#))
    #expect(raw.mean == [0, 0, 0] && raw.deviation == [1, 1, 1])
    #expect(try LoadedModel(ModelRequest(directory: Golden.folder("llama"))).imageInput() == nil)
  }

  @Test(
    "What is not done here is refused by name",
    arguments: [
      (#"{"image_mean": [1, 2]}"#, "image_mean"), (#"{"image_std": [0]}"#, "image_std[0]"),
      (#"{"image_std": "x"}"#, "image_std"), (#"{"rescale_factor": 1}"#, "rescale_factor"),
      (#"{"do_rescale": false}"#, "do_rescale"), (#"{"image_mean": [1e99]}"#, "image_mean[0]"),
      ("{", "preprocessor_config.json"),
    ]
  )
  func refused(settings: String, name: String) throws {
    let error = #expect(throws: FineTuningError.self) { try input(settings) }
    #expect("\(try #require(error))".contains(name))
  }

  @Test("A fraction of windows of single channels is refused, of the layers around them trained")
  func windows() throws {
    func fractions(_ scheme: String) throws -> [String: Int] {
      let request = ModelRequest(
        directory: GoldenVision.folder("tiny"),
        scheme: try UpdateScheme(scheme)
      )
      return try LoadedModel(request).selection.fractions
    }
    #expect(try fractions("weights:*expand.conv.weight,fraction=1/4").count == 3)
    #expect(try fractions("weights:*depthwise.conv.weight").isEmpty)
    for pattern in ["*depthwise.conv.weight", "blocks.2.*"] {
      let error = #expect(throws: FineTuningError.self) {
        try fractions("weights:\(pattern),fraction=1/4")
      }
      #expect("\(try #require(error))".contains("depthwise.conv.weight among its tensors"))
    }
  }
}
