// Apache-2.0. Dense updates as integers, written once: each instruction set compiles this body under
// its own target attribute. Integer arithmetic and binary64 operations one after another, so every
// compilation gives the same bits. No include guard: included once a file.

/// To the nearest integer, ties to even, for |x| < 2^51.
static inline double nearest(double x) {
  const double magic = 0x1.8p52;
  return (x + magic) - magic;
}

static inline double clamped(double x, double bound) {
  x = x > bound ? bound : x;
  return x < -bound ? -bound : x;
}

static int64_t fixed_point(const float *x, int64_t count, int32_t exponent, int32_t bound,
                           int32_t *amounts) {
  uint64_t bits = (uint64_t)(1023 + exponent) << 52;
  double scale;
  __builtin_memcpy(&scale, &bits, 8);
  int64_t refused = 0;
  for (int64_t i = 0; i < count; i++) {
    uint32_t pattern;
    __builtin_memcpy(&pattern, x + i, 4);
    // By the bits, so that no setting of the compiler reasons a NaN away.
    int32_t finite = (pattern & 0x7F800000u) != 0x7F800000u;
    refused += !finite;
    double value = finite ? (double)x[i] : 0.0;
    amounts[i] = (int32_t)nearest(clamped(value * scale, (double)bound));
  }
  return refused;
}

static void add_bounded(int32_t *amounts, const int32_t *more, int64_t count, int32_t bound) {
  for (int64_t i = 0; i < count; i++) {
    int64_t sum = (int64_t)amounts[i] + more[i];
    sum = sum > bound ? bound : sum;
    amounts[i] = (int32_t)(sum < -(int64_t)bound ? -(int64_t)bound : sum);
  }
}

static void subtract_i32(const int32_t *a, const int32_t *b, int64_t count, int32_t *output) {
  for (int64_t i = 0; i < count; i++) output[i] = a[i] - b[i];
}

static void accumulate_scaled(int64_t *sums, const int32_t *amounts, int64_t count,
                              int32_t factor) {
  for (int64_t i = 0; i < count; i++) sums[i] += (int64_t)amounts[i] * factor;
}

static int32_t largest_magnitude(const int32_t *amounts, int64_t count) {
  int32_t largest = 0;
  for (int64_t i = 0; i < count; i++) {
    int32_t magnitude = amounts[i] < 0 ? -amounts[i] : amounts[i];
    largest = magnitude > largest ? magnitude : largest;
  }
  return largest;
}

/// Eight sums side by side, added in their order.
static double squared_norm_i32(const int32_t *amounts, int64_t count) {
  double sums[8] = {0};
  int64_t i = 0;
  for (; i + 8 <= count; i += 8)
    for (int lane = 0; lane < 8; lane++) {
      double value = (double)amounts[i + lane];
      sums[lane] += value * value;
    }
  for (int lane = 0; i < count; i++, lane++) {
    double value = (double)amounts[i];
    sums[lane] += value * value;
  }
  double sum = 0;
  for (int lane = 0; lane < 8; lane++) sum += sums[lane];
  return sum;
}

static void quantize_codes(int32_t *amounts, int64_t count, int32_t step, int32_t limit,
                           int8_t *codes) {
  const double inverse = 1.0 / (double)step;
  for (int64_t i = 0; i < count; i++) {
    double code = nearest(clamped((double)amounts[i] * inverse, (double)limit));
    codes[i] = (int8_t)(int32_t)code;
    amounts[i] -= (int32_t)code * step;
  }
}

static void expand_codes(const int8_t *codes, int64_t count, int32_t step, int32_t *amounts) {
  for (int64_t i = 0; i < count; i++) amounts[i] = codes[i] * step;
}

/// Two codes of −7 … 7 a byte, the first in the low half.
static void pack_nibbles(const int8_t *codes, int64_t count, uint8_t *bytes) {
  for (int64_t i = 0; i + 2 <= count; i += 2)
    bytes[i / 2] = (uint8_t)((codes[i] & 15) | (codes[i + 1] & 15) << 4);
  if (count & 1) bytes[count / 2] = (uint8_t)(codes[count - 1] & 15);
}

static void unpack_nibbles(const uint8_t *bytes, int64_t count, int8_t *codes) {
  for (int64_t i = 0; i + 2 <= count; i += 2) {
    uint8_t byte = bytes[i / 2];
    codes[i] = (int8_t)(((byte & 15) ^ 8) - 8);
    codes[i + 1] = (int8_t)(((byte >> 4) ^ 8) - 8);
  }
  if (count & 1) codes[count - 1] = (int8_t)(((bytes[count / 2] & 15) ^ 8) - 8);
}

/// codes ← amounts / 2^shift to the nearest, ties up; amounts ← what is left.
static void shift_codes(int32_t *amounts, int64_t count, int32_t shift, int32_t *codes) {
  const int64_t half = shift ? (int64_t)1 << (shift - 1) : 0;
  for (int64_t i = 0; i < count; i++) {
    int32_t code = (int32_t)(((int64_t)amounts[i] + half) >> shift);
    codes[i] = code;
    amounts[i] -= (int32_t)((uint32_t)code << shift);
  }
}

/// Byte b of every zigzag code, one plane of `count` bytes after another.
static void split_planes(const int32_t *codes, int64_t count, int32_t planes, uint8_t *bytes) {
  for (int32_t plane = 0; plane < planes; plane++) {
    uint8_t *to = bytes + plane * count;
    for (int64_t i = 0; i < count; i++) {
      uint32_t zigzag = ((uint32_t)codes[i] << 1) ^ (uint32_t)(codes[i] >> 31);
      to[i] = (uint8_t)(zigzag >> (8 * plane));
    }
  }
}

static void join_planes(const uint8_t *bytes, int64_t count, int32_t planes, int32_t shift,
                        int32_t *amounts) {
  uint32_t *words = (uint32_t *)amounts;
  for (int64_t i = 0; i < count; i++) words[i] = 0;
  for (int32_t plane = 0; plane < planes; plane++) {
    const uint8_t *from = bytes + plane * count;
    for (int64_t i = 0; i < count; i++) words[i] |= (uint32_t)from[i] << (8 * plane);
  }
  for (int64_t i = 0; i < count; i++) {
    uint32_t code = (words[i] >> 1) ^ (0u - (words[i] & 1));
    words[i] = code << shift;
  }
}

/// sums[i] ← Σ of the values rows[r · stride + i], r < n, without the `dropped` least and the `dropped` greatest.
/// Scratch: 16 · n integers.
static void trimmed_sums(const int32_t *rows, int64_t stride, int32_t n, int64_t count,
                         int32_t dropped, int64_t *sums, int32_t *scratch) {
  enum { LANES_ = 16 };
  for (int64_t start = 0; start < count; start += LANES_) {
    int64_t here = count - start < LANES_ ? count - start : LANES_;
    for (int32_t row = 0; row < n; row++)
      for (int64_t i = 0; i < LANES_; i++)
        scratch[row * LANES_ + i] = i < here ? rows[row * stride + start + i] : 0;
    // Neighbours are exchanged n times: a sorting network of minima and maxima, sixteen columns wide.
    for (int32_t pass = 0; pass < n; pass++)
      for (int32_t row = pass & 1; row + 1 < n; row += 2) {
        int32_t *low = scratch + row * LANES_, *high = low + LANES_;
        for (int i = 0; i < LANES_; i++) {
          int32_t a = low[i], b = high[i];
          low[i] = a < b ? a : b;
          high[i] = a < b ? b : a;
        }
      }
    int64_t kept[LANES_] = {0};
    for (int32_t row = dropped; row < n - dropped; row++)
      for (int i = 0; i < LANES_; i++) kept[i] += scratch[row * LANES_ + i];
    for (int64_t i = 0; i < here; i++) sums[start + i] = kept[i];
  }
}

static inline int32_t stepped(const samara_server_step *step, int32_t integer, double moved) {
  double bound = (double)step->bound;
  // Less than 2^32 either way, so that the rounding is exact.
  double amount = nearest(clamped(step->rate * moved * step->scale, 4.0 * bound));
  return (int32_t)clamped((double)integer + amount, bound);
}

static void server_step(const samara_server_step *step, const int64_t *sums, int32_t *integers,
                        double *first, double *second, int64_t count) {
  const double unit = step->unit, beta1 = step->beta1, beta2 = step->beta2, tau = step->tau;
  const double rest1 = 1.0 - beta1, rest2 = 1.0 - beta2;
  switch (step->rule) {
    case SAMARA_SERVER_AVERAGE:
      for (int64_t i = 0; i < count; i++)
        integers[i] = stepped(step, integers[i], (double)sums[i] * unit);
      break;
    case SAMARA_SERVER_MOMENTUM:
      for (int64_t i = 0; i < count; i++) {
        first[i] = beta1 * first[i] + (double)sums[i] * unit;
        integers[i] = stepped(step, integers[i], first[i]);
      }
      break;
    default:
      for (int64_t i = 0; i < count; i++) {
        double g = (double)sums[i] * unit;
        double square = g * g;
        first[i] = beta1 * first[i] + rest1 * g;
        double v = second[i];
        double sign = v > square ? 1.0 : v < square ? -1.0 : 0.0;
        second[i] = step->rule == SAMARA_SERVER_ADAM ? beta2 * v + rest2 * square
                                                     : v - rest2 * square * sign;
        integers[i] = stepped(step, integers[i], first[i] / (__builtin_sqrt(second[i]) + tau));
      }
  }
}

static void install_integers(samara_kernel_table *table) {
  table->fixed_point = fixed_point;
  table->add_bounded = add_bounded;
  table->subtract_i32 = subtract_i32;
  table->accumulate_scaled = accumulate_scaled;
  table->largest_magnitude = largest_magnitude;
  table->squared_norm_i32 = squared_norm_i32;
  table->quantize_codes = quantize_codes;
  table->expand_codes = expand_codes;
  table->pack_nibbles = pack_nibbles;
  table->unpack_nibbles = unpack_nibbles;
  table->shift_codes = shift_codes;
  table->split_planes = split_planes;
  table->join_planes = join_planes;
  table->trimmed_sums = trimmed_sums;
  table->server_step = server_step;
}
