// Apache-2.0.

/// The batch norm of a checkpoint that goes into the convolution before it.
///
/// With statistics that no longer change, gain · (W·x + b − mean) / √(variance + ε) + bias is a
/// convolution by W · s with the bias (b − mean) · s + bias, where s = gain / √(variance + ε), one a
/// channel of the result.
public struct FoldedNorm: Sendable, Hashable {
  /// Whether the parameter asked for is the convolution's weight; otherwise its bias.
  public let isWeight: Bool
  /// Name of the convolution's weight in the checkpoint.
  public let weight: String
  /// Name of the convolution's own bias, where the checkpoint has it.
  public let convolutionBias: String?
  /// Name of the norm's gain.
  public let gain: String
  /// Name of the norm's bias.
  public let bias: String
  /// Name of the mean.
  public let mean: String
  /// Name of the variance.
  public let variance: String
  /// Added to the variance.
  public let epsilon: Double
}
