// Apache-2.0.
import Datasets

/// A picture's file: what is read has samples of 0 … 1, in its own extents and in others.
let imageFuzzTarget = FuzzTarget("image") { bytes in
  guard let image = try? PortableImage(bytes) else { return }
  precondition(image.width * image.height * image.channels <= bytes.count, "samples from nowhere")
  for (height, width) in [(image.height, image.width), (3, 5), (1, 1)] {
    let values = image.values(height: height, width: width)
    precondition(values.count == height * width * image.channels, "another number of values")
    precondition(values.allSatisfy { (0...1.000001).contains($0) }, "a sample outside 0 … 1")
  }
}
