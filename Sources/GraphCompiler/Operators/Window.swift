// Apache-2.0.
import CKernels
import Tensors

/// The square window of a convolution over images whose pixels are rows [height·width, channels].
public struct Window: Sendable, Hashable {
  /// Rows of pixels of the image.
  public let height: Int
  /// Columns of pixels of the image.
  public let width: Int
  /// Rows and columns of the window.
  public let size: Int
  /// Distance of neighbouring windows.
  public let stride: Int
  /// Zeros around the image.
  public let padding: Int

  /// A window over images of height × width pixels.
  public init(height: Int, width: Int, size: Int, stride: Int = 1, padding: Int? = nil) {
    self.height = height
    self.width = width
    self.size = size
    self.stride = stride
    self.padding = padding ?? size / 2
  }

  /// Elements of the window.
  public var area: Int { size * size }
  /// Pixels of an image.
  public var pixels: Int { height * width }
  /// Rows of pixels of the result.
  public var outputHeight: Int { (height + 2 * padding - size) / stride + 1 }
  /// Columns of pixels of the result.
  public var outputWidth: Int { (width + 2 * padding - size) / stride + 1 }
  /// Pixels of the result of an image.
  public var outputPixels: Int { outputHeight * outputWidth }

  var isValid: Bool {
    height > 0 && width > 0 && size > 0 && stride > 0 && padding >= 0
      && min(height, width) + 2 * padding >= size
  }

  /// How the kernels take it.
  func kernelWindow(channels: Int) -> samara_window {
    samara_window(
      height: Int64(height),
      width: Int64(width),
      channels: Int64(channels),
      output_height: Int64(outputHeight),
      output_width: Int64(outputWidth),
      size: Int64(size),
      stride: Int64(stride),
      top: Int64(padding),
      left: Int64(padding)
    )
  }

  /// Calls `body` for every pixel of the result of `images` images and every element of the window that
  /// lies on a pixel, with their rows and the element's place in the window.
  func forEach(images: Int, _ body: (_ output: Int, _ input: Int, _ place: Int) -> Void) {
    for image in 0..<images {
      for pixel in 0..<outputPixels {
        for place in 0..<area {
          let y = pixel / outputWidth * stride + place / size - padding
          let x = pixel % outputWidth * stride + place % size - padding
          guard (0..<height).contains(y), (0..<width).contains(x) else { continue }
          body(image * outputPixels + pixel, image * pixels + y * width + x, place)
        }
      }
    }
  }
}

extension KernelCall {
  /// Calls `body` for parts of a few rows of pixels of every image.
  func splitRows(
    images: Int,
    rows: Int,
    _ body: (_ image: Int, _ rows: Range<Int>, _ thread: Int) -> Void
  ) {
    // Every part turns the weight anew, so that there are not more of them than threads can use.
    let parts = min(rows, max(1, 2 * team.threadCount / max(1, images)))
    let step = (rows + parts - 1) / max(1, parts)
    guard step > 0 else { return }
    let made = (rows + step - 1) / step
    team.run(tasks: images * made) { task, thread in
      let first = task % made * step
      body(task / made, first..<min(rows, first + step), thread)
    }
  }
}
