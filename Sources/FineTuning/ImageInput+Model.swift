// Apache-2.0.
import Codecs
public import Datasets
import ModelFiles
import Models

extension LoadedModel {
  /// The pictures the model reads, normalised as `preprocessor_config.json` of its folder says
  /// (`image_mean`, `image_std`, `do_normalize`), as those of ImageNet where there is none; nil where it
  /// reads none.
  ///
  /// - Throws: `FineTuningError` where the file says what is not done here: samples of another scale.
  public func imageInput() throws(FineTuningError) -> ImageInput? {
    guard let extents = family.imageExtents else { return nil }
    let path = "\(request.directory)/preprocessor_config.json"
    guard ModelFolder.exists(path) else { return input(extents, nil, nil) }
    let document = try FineTuningError.inModel(request.directory) { try ModelFolder.json(path) }
    do throws(JSONError) {
      let settings = JSONField(document, path: "")
      let factor = settings["rescale_factor"]
      if factor.isPresent, abs(try factor.number() * 255 - 1) > 1e-6 {
        throw factor.unexpected("1/255")
      }
      guard try settings["do_rescale"].bool(default: true) else {
        throw settings["do_rescale"].unexpected("true")
      }
      guard try settings["do_normalize"].bool(default: true) else {
        return input(extents, [0], [1])
      }
      return input(
        extents,
        try Self.numbers(settings, "image_mean", extents.channels) { _ in true },
        try Self.numbers(settings, "image_std", extents.channels) { $0 > 0 }
      )
    } catch {
      throw .data("\(path): \(error)")
    }
  }

  private func input(_ extents: ImageExtents, _ mean: [Float]?, _ deviation: [Float]?) -> ImageInput
  {
    ImageInput(
      height: extents.height,
      width: extents.width,
      channels: extents.channels,
      mean: mean,
      deviation: deviation
    )
  }

  /// A number, or one a channel.
  private static func numbers(
    _ settings: JSONField,
    _ key: String,
    _ channels: Int,
    _ isValid: (Float) -> Bool
  ) throws(JSONError) -> [Float]? {
    let field = settings[key]
    guard field.isPresent else { return nil }
    var numbers: [Float] = []
    for item in try field.items() {
      let number = Float(try item.number())
      guard number.isFinite, isValid(number) else { throw item.unexpected("a finite number") }
      numbers.append(number)
    }
    guard numbers.count == 1 || numbers.count == channels else {
      throw field.unexpected("one number, or one for each of \(channels) channels")
    }
    return numbers
  }
}
