// Apache-2.0.
public import Datasets
public import FederatedCore
public import ModelFiles

extension DatasetReader {
  /// A reader of a run's examples: the same examples of the same file for everybody.
  ///
  /// - Parameters:
  ///   - tokenizer: of the run's model; nil where it reads values.
  ///   - images: the pictures it reads; nil where it reads none.
  ///   - field: the field whose values become `Dataset.groups`.
  ///   - limit: examples at most.
  /// - Throws: `DatasetError.unknownName` where the run names a format or template there is not.
  public init(
    _ run: RunConfiguration,
    tokenizer: (any Tokenizer)?,
    images: ImageInput? = nil,
    field: String? = nil,
    limit: Int = .max
  ) throws(DatasetError) {
    try self.init(
      tokenizer: tokenizer,
      images: images,
      format: run.data.format,
      template: run.data.template,
      maximumLength: run.data.maximumLength,
      labels: run.labels,
      field: field,
      limit: limit
    )
  }
}
