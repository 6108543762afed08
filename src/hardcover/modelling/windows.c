/* All windows of a table at once, to the bits of runtime/track.py.

   Events come in the order of (time, received, key), and so do the rows that are asked about. Those of an entity are gathered, and each
   window moves along them: it takes the events from `low` to `until`, but for those that were not there when the row was asked. Values are
   whole numbers of 2**unit in 128 bits, so that differences of prefix sums are exact; Python sees to it beforehand that they fit. */

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(_WIN32)
#define API __declspec(dllexport)
#else
#define API __attribute__((visibility("default")))
#endif

typedef __int128 i128;
typedef unsigned __int128 u128;

enum aggregate { COUNT, TOTAL, MEAN, MINIMUM, MAXIMUM, DEVIATION, LAST, DISTINCT, SINCE, SHARE, RECENT };
enum { TOTALS = 1, SQUARES = 2, TRUTHS = 4, LOWEST = 8, HIGHEST = 16, PLACES = 32, MISSING = 64 };

/* A column: `values`, or `codes` of different values, -1 of a missing one. `unit` is the power of two that all values are multiples of. */
struct column {
    const double *values;
    const int32_t *codes;
    int32_t needs, unit;
    int64_t distinct;
};

/* A window: `column` is -1 for none, `span` and `rows` 0 for none; `out` has a number a row, or of RECENT `rows` numbers. */
struct window {
    int32_t aggregate, column, label, itself;
    int64_t delay, span, rows;
    double *out;
};

/* What is known of a column's values of one entity. */
struct track {
    double *values;
    int32_t *codes, *counts, *truths, *there, *true_at, *seen;
    i128 *totals;
    uint64_t (*squares)[4];
    double *lowest, *highest;
    int missing, tree;
};

static double scaled(double value, int exponent)
{
    union { uint64_t bits; double number; } power;
    if (exponent < -1000 || exponent > 1000) return ldexp(value, exponent);
    power.bits = (uint64_t)(exponent + 1023) << 52;
    return value * power.number;
}

static i128 whole(double value, int unit)
{
    int exponent;
    int64_t mantissa = (int64_t)(frexp(value, &exponent) * 0x1p53);
    int shift = exponent - 53 - unit;
    return shift >= 0 ? (i128)((u128)(i128)mantissa << shift) : (i128)(mantissa >> -shift);
}

/* The smallest power of two that all values are multiples of, and the largest exponent: 1 if some value is infinite, else 0. */
API int32_t hardcover_unit(const double *values, int64_t rows, int32_t *unit, int32_t *top)
{
    int lowest = 4096, highest = -4096;
    for (int64_t row = 0; row < rows; row++) {
        double value = values[row];
        if (value == 0 || value != value) continue;
        if (isinf(value)) return 1;
        int exponent;
        int64_t mantissa = (int64_t)(frexp(fabs(value), &exponent) * 0x1p53);
        int last = exponent - 53 + __builtin_ctzll((uint64_t)mantissa);
        if (last < lowest) lowest = last;
        if (exponent > highest) highest = exponent;
    }
    *unit = lowest > highest ? 0 : lowest;
    *top = lowest > highest ? 0 : highest;
    return 0;
}

/* Sort rows, which are in order, by their entity: `starts` has where each begins in `sorted`, one longer than there are entities. */
API void hardcover_gather(const int32_t *entities, const int64_t *order, int64_t rows, int64_t count, int64_t *starts, int64_t *sorted)
{
    memset(starts, 0, (size_t)(count + 2) * sizeof *starts);
    for (int64_t row = 0; row < rows; row++) if (entities[row] >= 0) starts[entities[row] + 2]++;
    for (int64_t entity = 2; entity < count + 2; entity++) starts[entity] += starts[entity - 1];
    for (int64_t place = 0; place < rows; place++) {
        int64_t row = order ? order[place] : place;
        if (entities[row] >= 0) sorted[starts[entities[row] + 1]++] = row;
    }
}

/* numerator / divisor * 2**exponent, correctly rounded; divisor is below 2**31. */
static double divided(i128 numerator, uint64_t divisor, int exponent)
{
    if (!numerator) return 0.0;
    u128 size = numerator < 0 ? -(u128)numerator : (u128)numerator;
    if (divisor == 1) return scaled(numerator < 0 ? -(double)size : (double)size, exponent);
    int shift = (uint64_t)(size >> 64) ? __builtin_clzll((uint64_t)(size >> 64)) : 64 + __builtin_clzll((uint64_t)size);
    size <<= shift;
    uint64_t high = (uint64_t)(size >> 64), low = (uint64_t)size;
    uint64_t first = high / divisor, rest = high % divisor;
    rest = rest << 32 | low >> 32;
    uint64_t second = rest / divisor;
    rest = rest % divisor << 32 | (low & 0xffffffff);
    uint64_t third = rest / divisor;
    u128 quotient = (u128)first << 64 | (u128)second << 32 | third;
    double found = (double)(quotient | (rest % divisor != 0));
    return scaled(numerator < 0 ? -found : found, exponent - shift);
}

static void square(i128 value, uint64_t out[4])
{
    u128 size = value < 0 ? -(u128)value : (u128)value;
    uint64_t low = (uint64_t)size, high = (uint64_t)(size >> 64);
    u128 small = (u128)low * low, cross = (u128)low * high, large = (u128)high * high;
    out[0] = (uint64_t)small;
    u128 middle = (small >> 64) + (u128)(uint64_t)cross + (uint64_t)cross;
    out[1] = (uint64_t)middle;
    u128 upper = (middle >> 64) + (uint64_t)(cross >> 64) + (u128)(uint64_t)(cross >> 64) + (uint64_t)large;
    out[2] = (uint64_t)upper;
    out[3] = (uint64_t)(upper >> 64) + (uint64_t)(large >> 64);
}

static void add(uint64_t sum[4], const uint64_t other[4])
{
    u128 carry = 0;
    for (int limb = 0; limb < 4; limb++) {
        carry += (u128)sum[limb] + other[limb];
        sum[limb] = (uint64_t)carry;
        carry >>= 64;
    }
}

static void subtract(uint64_t sum[4], const uint64_t other[4])
{
    uint64_t borrow = 0;
    for (int limb = 0; limb < 4; limb++) {
        u128 lost = (u128)other[limb] + borrow;
        borrow = lost > sum[limb];
        sum[limb] -= (uint64_t)lost;
    }
}

/* The root of the correctly rounded (size * squares - total**2) / (size * (size - 1)) * 2**(2 * unit). */
static double deviation(int64_t size, const uint64_t squares[4], i128 total, int unit)
{
    uint64_t spread[4], other[4];
    u128 carry = 0;
    for (int limb = 0; limb < 4; limb++) {
        carry += (u128)squares[limb] * (uint64_t)size;
        spread[limb] = (uint64_t)carry;
        carry >>= 64;
    }
    square(total, other);
    subtract(spread, other);
    int top = 3;
    while (top >= 0 && !spread[top]) top--;
    if (top < 0) return 0.0;
    int shift = __builtin_clzll(spread[top]), limbs = 3 - top;
    uint64_t moved[4] = {0};
    for (int limb = 3; limb >= limbs; limb--) {
        moved[limb] = spread[limb - limbs] << shift;
        if (shift && limb > limbs) moved[limb] |= spread[limb - limbs - 1] >> (64 - shift);
    }
    uint64_t divisor = (uint64_t)size * (uint64_t)(size - 1), quotient[2], rest = moved[3] % divisor;
    quotient[1] = moved[3] / divisor;
    u128 step = (u128)rest << 64 | moved[2];
    quotient[0] = (uint64_t)(step / divisor);
    int more = step % divisor || moved[1] || moved[0];
    double found = (double)(((u128)quotient[1] << 64 | quotient[0]) | (u128)more);
    return sqrt(scaled(found, 2 * unit + 128 - (64 * limbs + shift)));
}

/* Smallest or largest of places low to until, by a tree of pairs; missing values are infinite in it. */
static double extreme(const double *tree, int64_t size, int64_t low, int64_t until, int largest, double found)
{
    for (low += size, until += size; low < until; low >>= 1, until >>= 1) {
        if (low & 1) { double v = tree[low++]; if (largest ? v > found : v < found) found = v; }
        if (until & 1) { double v = tree[--until]; if (largest ? v > found : v < found) found = v; }
    }
    return found;
}

static void plant(double *tree, const double *values, int64_t size, int largest)
{
    double none = largest ? -INFINITY : INFINITY;
    for (int64_t place = 0; place < size; place++) tree[size + place] = values[place] == values[place] ? values[place] : none;
    for (int64_t node = size - 1; node > 0; node--) {
        double one = tree[2 * node], two = tree[2 * node + 1];
        tree[node] = (largest ? one > two : one < two) ? one : two;
    }
}

/* An entity: its events in order, when they were visible to whom, and the rows that are asked about it. */
struct state {
    int64_t size, asked_count, hidden_count;
    int64_t *times, *visible[2], *latest[2], *hidden;
    const int64_t *rows, *moments, *asked;
    int in_order[2], asked_in_order;
};

static void fill(struct track *track, const struct column *column, const int64_t *rows, int64_t size)
{
    int needs = column->needs;
    track->missing = 0;
    if (column->codes) {
        for (int64_t place = 0; place < size; place++) {
            track->codes[place] = column->codes[rows[place]];
            track->missing |= track->codes[place] < 0;
        }
    }
    if (column->values) {
        for (int64_t place = 0; place < size; place++) {
            track->values[place] = column->values[rows[place]];
            track->missing |= track->values[place] != track->values[place];
        }
    }
    if (track->missing) {
        for (int64_t place = 0; place < size; place++) {
            int there = column->values ? track->values[place] == track->values[place] : track->codes[place] >= 0;
            track->counts[place + 1] = track->counts[place] + there;
        }
    }
    if (needs & TOTALS) {
        memset(track->squares ? track->squares[0] : (uint64_t[4]){0}, 0, 32);
        for (int64_t place = 0; place < size; place++) {
            double value = track->values[place];
            i128 mine = value == value && value != 0 ? whole(value, column->unit) : 0;
            track->totals[place + 1] = track->totals[place] + mine;
            if (needs & SQUARES) {
                uint64_t squared[4];
                square(mine, squared);
                memcpy(track->squares[place + 1], track->squares[place], 32);
                add(track->squares[place + 1], squared);
            }
        }
    }
    if (needs & TRUTHS)
        for (int64_t place = 0; place < size; place++) {
            double value = track->values[place];
            track->truths[place + 1] = track->truths[place] + (value == value && value != 0);
        }
    if (needs & PLACES) {
        int32_t there = -1, true_at = -1;
        for (int64_t place = 0; place < size; place++) {
            double value = track->values[place];
            if (value == value) there = (int32_t)place;
            if (value == value && value != 0) true_at = (int32_t)place;
            track->there[place] = there;
            track->true_at[place] = true_at;
        }
    }
    if (needs & LOWEST) plant(track->lowest, track->values, size, 0);
    if (needs & HIGHEST) plant(track->highest, track->values, size, 1);
}

/* The first place from which on some event is not surely visible to who asks at `asked`. */
static int64_t sure(const int64_t *latest, int64_t size, int64_t asked, int64_t guess)
{
    if (guess <= size && (guess == 0 || latest[guess - 1] < asked)) {
        if (guess == size || latest[guess] >= asked) return guess;
        if (guess + 1 == size || latest[guess + 1] >= asked) return guess + 1;
    }
    int64_t low = 0, high = size;
    while (low < high) {
        int64_t middle = (low + high) / 2;
        if (latest[middle] < asked) low = middle + 1;
        else high = middle;
    }
    return low;
}

static int64_t hidden_from(const struct state *state, int64_t low)
{
    /* They are listed from the last to the first. */
    int64_t first = 0, end = state->hidden_count;
    while (first < end) {
        int64_t middle = (first + end) / 2;
        if (state->hidden[middle] >= low) first = middle + 1;
        else end = middle;
    }
    return first;
}

static double one(const struct window *window, const struct column *column, struct track *track, struct state *state, int64_t row,
                  int64_t time, int64_t asked, int64_t low, int64_t until)
{
    const int64_t *visible = state->visible[window->label];
    int64_t hidden = state->hidden_count ? hidden_from(state, low) : 0, size = until - low - hidden;
    double own = window->itself && column && column->values ? column->values[row] : NAN;
    int mine = window->itself && (!column || (column->values ? own == own : column->codes[row] >= 0));
    if (track && track->missing) {
        size = track->counts[until] - track->counts[low];
        for (int64_t each = 0; each < hidden; each++) {
            int64_t there = state->hidden[each];
            size -= track->counts[there + 1] - track->counts[there];
        }
    }
    size += mine;
    switch (window->aggregate) {
    case COUNT:
        return (double)size;
    case TOTAL:
    case MEAN:
    case DEVIATION: {
        if (window->aggregate != TOTAL && size < (window->aggregate == MEAN ? 1 : 2)) return NAN;
        i128 total = track->totals[until] - track->totals[low];
        for (int64_t each = 0; each < hidden; each++) {
            int64_t there = state->hidden[each];
            total -= track->totals[there + 1] - track->totals[there];
        }
        i128 extra = mine && own != 0 ? whole(own, column->unit) : 0;
        total += extra;
        if (window->aggregate != DEVIATION)
            return divided(total, window->aggregate == TOTAL ? 1 : (uint64_t)size, column->unit);
        uint64_t squares[4];
        memcpy(squares, track->squares[until], 32);
        subtract(squares, track->squares[low]);
        for (int64_t each = 0; each < hidden; each++) {
            int64_t there = state->hidden[each];
            subtract(squares, track->squares[there + 1]);
            add(squares, track->squares[there]);
        }
        uint64_t squared[4];
        square(extra, squared);
        add(squares, squared);
        return deviation(size, squares, total, column->unit);
    }
    case SHARE: {
        if (!size) return NAN;
        int64_t truths = track->truths[until] - track->truths[low];
        for (int64_t each = 0; each < hidden; each++) {
            int64_t there = state->hidden[each];
            truths -= track->truths[there + 1] - track->truths[there];
        }
        truths += mine && own != 0;
        return (double)truths / (double)size;
    }
    case MINIMUM:
    case MAXIMUM: {
        int largest = window->aggregate == MAXIMUM;
        if (!size) return NAN;
        const double *tree = largest ? track->highest : track->lowest;
        double found = largest ? -INFINITY : INFINITY;
        int64_t end = until;
        for (int64_t each = 0; each < hidden; each++) {
            found = extreme(tree, state->size, state->hidden[each] + 1, end, largest, found);
            end = state->hidden[each];
        }
        found = extreme(tree, state->size, low, end, largest, found);
        return mine && (largest ? own > found : own < found) ? own : found;
    }
    case LAST:
    case SINCE: {
        int64_t there = until - 1;
        const int32_t *places = !track ? NULL : window->aggregate == LAST ? track->there : track->true_at;
        if (there >= low && places) there = places[there];
        while (there >= low && visible[there] >= asked) {
            there--;
            if (there >= low && places) there = places[there];
        }
        if (there < low) return NAN;
        if (window->aggregate == LAST) return track->values[there];
        return (double)(time - state->times[there]) / 1e6;
    }
    case RECENT: {
        double *out = window->out + row * window->rows;
        int64_t slot = 0, there = until - 1;
        if (window->itself) out[slot++] = own;
        for (; there >= low && slot < window->rows; there--)
            if (visible[there] < asked) out[slot++] = track->values[there];
        while (slot < window->rows) out[slot++] = NAN;
        return 0;
    }
    }
    return NAN;
}

/* How many different values there are from low to until, of what is visible, and `own`. */
static double distinct(const int64_t *visible, struct track *track, int64_t asked, int32_t own, int64_t low, int64_t until)
{
    int64_t found = 0;
    for (int64_t there = low; there < until; there++) {
        int32_t code = track->codes[there];
        if (code >= 0 && visible[there] < asked && !track->seen[code]++) found++;
    }
    if (own >= 0 && !track->seen[own]) found++;
    for (int64_t there = low; there < until; there++) if (track->codes[there] >= 0) track->seen[track->codes[there]] = 0;
    return (double)found;
}

static void slide(const struct window *window, const struct column *column, struct track *track, struct state *state)
{
    const int64_t *visible = state->visible[window->label], *latest = state->latest[window->label];
    int64_t low = 0, end = 0, guess = 0, counted_low = 0, counted_until = 0, different = 0;
    /* Then the window only moves on, and what is in it can be counted on the way. */
    int ordered = state->in_order[window->label] && state->asked_in_order;
    for (int64_t place = 0; place < state->asked_count; place++) {
        int64_t row = state->rows[place], time = state->moments[row], asked = state->asked[row], moment = time - window->delay;
        while (end < state->size && state->times[end] <= moment) end++;
        guess = sure(latest, state->size, asked, guess);
        int64_t until = end, start = 0;
        state->hidden_count = 0;
        if (guess < end && state->in_order[window->label]) until = guess;
        while (until > guess && visible[until - 1] >= asked) until--;
        if (window->span) {
            while (low < state->size && state->times[low] <= moment - window->span) low++;
            start = low < until ? low : until;
        }
        for (int64_t there = until, from = guess > start ? guess : start; there-- > from;)
            if (visible[there] >= asked) state->hidden[state->hidden_count++] = there;
        if (window->rows) {
            int64_t wanted = window->rows - window->itself, more = -1, hidden = 0;
            while (hidden != more) {
                more = hidden;
                start = until - wanted - more < 0 ? 0 : until - wanted - more;
                hidden = state->hidden_count ? hidden_from(state, start) : 0;
            }
        }
        if (window->aggregate != DISTINCT) {
            double found = one(window, column, track, state, row, time, asked, start, until);
            if (window->aggregate != RECENT) window->out[row] = found;
            continue;
        }
        int32_t own = window->itself ? column->codes[row] : -1;
        if (!ordered) {
            window->out[row] = distinct(visible, track, asked, own, start, until);
            continue;
        }
        for (; counted_until < until; counted_until++) {
            int32_t code = track->codes[counted_until];
            if (code >= 0 && !track->seen[code]++) different++;
        }
        for (; counted_low < start; counted_low++) {
            int32_t code = track->codes[counted_low];
            if (code >= 0 && !--track->seen[code]) different--;
        }
        window->out[row] = (double)(different + (own >= 0 && !track->seen[own]));
    }
    for (; counted_low < counted_until; counted_low++)
        if (track->codes[counted_low] >= 0) track->seen[track->codes[counted_low]] = 0;
}

static void *room(size_t count, size_t size, int *failed)
{
    void *found = calloc(count ? count : 1, size);
    if (!found) *failed = 1;
    return found;
}

/* All windows of the entities from `first` to `last`; 1 when there is no memory for it, else 0.

   times, received, known: microseconds by row. starts, sorted: events as hardcover_gather leaves them; asked_starts, asked: rows. */
API int32_t hardcover_windows(const int64_t *times, const int64_t *received, const int64_t *known, const int64_t *starts,
                              const int64_t *sorted, const int64_t *asked_starts, const int64_t *asked, int64_t first, int64_t last,
                              const struct column *columns, int32_t column_count, const struct window *windows, int32_t window_count)
{
    int64_t most = 0;
    int failed = 0;
    for (int64_t entity = first; entity < last; entity++)
        if (starts[entity + 1] - starts[entity] > most) most = starts[entity + 1] - starts[entity];
    size_t size = (size_t)most;
    struct state state = {0};
    state.times = room(size, 8, &failed);
    state.hidden = room(size, 8, &failed);
    for (int which = 0; which < 2; which++) {
        state.visible[which] = room(size, 8, &failed);
        state.latest[which] = room(size, 8, &failed);
    }
    struct track *tracks = room((size_t)column_count, sizeof *tracks, &failed);
    for (int number = 0; tracks && number < column_count; number++) {
        struct track *track = tracks + number;
        int needs = columns[number].needs;
        if (columns[number].values) track->values = room(size, 8, &failed);
        if (columns[number].codes) {
            track->codes = room(size, 4, &failed);
            track->seen = room((size_t)columns[number].distinct, 4, &failed);
        }
        track->counts = room(size + 1, 4, &failed);
        if (needs & TOTALS) track->totals = room(size + 1, sizeof(i128), &failed);
        if (needs & SQUARES) track->squares = room(size + 1, 32, &failed);
        if (needs & TRUTHS) track->truths = room(size + 1, 4, &failed);
        if (needs & PLACES) {
            track->there = room(size, 4, &failed);
            track->true_at = room(size, 4, &failed);
        }
        if (needs & LOWEST) track->lowest = room(2 * size + 2, 8, &failed);
        if (needs & HIGHEST) track->highest = room(2 * size + 2, 8, &failed);
    }
    for (int64_t entity = first; entity < last && !failed; entity++) {
        const int64_t *rows = sorted + starts[entity];
        state.size = starts[entity + 1] - starts[entity];
        state.rows = asked + asked_starts[entity];
        state.asked_count = asked_starts[entity + 1] - asked_starts[entity];
        state.moments = times;
        state.asked = received;
        state.asked_in_order = 1;
        for (int64_t place = 1; place < state.asked_count; place++)
            if (received[state.rows[place]] < received[state.rows[place - 1]]) state.asked_in_order = 0;
        for (int64_t place = 0; place < state.size; place++) {
            state.times[place] = times[rows[place]];
            state.visible[0][place] = received[rows[place]];
            state.visible[1][place] = known[rows[place]];
        }
        for (int which = 0; which < 2; which++) {
            int64_t latest = INT64_MIN;
            state.in_order[which] = 1;
            for (int64_t place = 0; place < state.size; place++) {
                int64_t mine = state.visible[which][place];
                if (mine < latest) state.in_order[which] = 0;
                else latest = mine;
                state.latest[which][place] = latest;
            }
        }
        for (int number = 0; number < column_count; number++) fill(tracks + number, columns + number, rows, state.size);
        for (int number = 0; number < window_count; number++) {
            const struct window *window = windows + number;
            struct track *track = window->column < 0 ? NULL : tracks + window->column;
            slide(window, window->column < 0 ? NULL : columns + window->column, track, &state);
        }
    }
    for (int number = 0; tracks && number < column_count; number++) {
        struct track *track = tracks + number;
        void *rooms[] = {track->values, track->codes,  track->seen,  track->counts,  track->totals, track->squares,
                         track->truths, track->there, track->true_at, track->lowest, track->highest};
        for (size_t each = 0; each < sizeof rooms / sizeof *rooms; each++) free(rooms[each]);
    }
    free(tracks);
    free(state.times);
    free(state.hidden);
    for (int which = 0; which < 2; which++) {
        free(state.visible[which]);
        free(state.latest[which]);
    }
    return failed;
}
