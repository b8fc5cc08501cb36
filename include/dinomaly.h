/* dinomaly: a trained anomaly detector, called from C.
 *
 *   dinomaly_detector* detector;
 *   dinomaly_result* result;
 *   if (dinomaly_open("model.safetensors", NULL, &detector) == DINOMALY_OK &&
 *       dinomaly_predict_file(detector, "part.png", &result) == DINOMALY_OK)
 *     printf("%f\n", dinomaly_result_score(result));
 *   else
 *     fprintf(stderr, "%s\n", dinomaly_last_error());
 *
 * Scores, maps, decisions and regions are those of the program `dinomaly predict`, to the bit.
 *
 * Errors. What can fail returns a dinomaly_status and, unless that is DINOMALY_OK, has set what it was to fill to
 * NULL; dinomaly_last_error() then says in one line what was wrong. No C++ exception leaves the library. A null pointer, where this
 * page does not allow it, is DINOMALY_BAD_ARGUMENT; functions that return a value return 0, NaN or NULL for one.
 *
 * Ownership. dinomaly_open() and dinomaly_predict_...() hand out objects, which the caller frees. All text and memory
 * that a function returns belongs to the library; it is valid as long as the object that it was asked of.
 *
 * Threads. One detector may judge images from several threads at a time. A result belongs to one thread at a time. The detector must
 * not be freed while one of its calls runs. While the library computes, it lets no signal interrupt the calling thread; signals that
 * came meanwhile are delivered when the call returns.
 *
 * Text is UTF-8, paths are the system's bytes. Sizes are in pixels, x to the right and y downwards from the top left corner.
 */
#ifndef DINOMALY_H
#define DINOMALY_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define DINOMALY_API __attribute__((visibility("default")))
#else
#define DINOMALY_API
#endif

/* The interface that this header describes. Within one ABI version functions are added, never changed; the library's file
 * name bears it, too (libdinomaly.so.0 is version 0). */
#define DINOMALY_ABI_VERSION 0

/* That of the library that is linked. */
DINOMALY_API uint32_t dinomaly_abi_version(void);
/* "0.1.0" */
DINOMALY_API const char* dinomaly_version(void);

typedef enum dinomaly_status {
  DINOMALY_OK = 0,
  DINOMALY_BAD_ARGUMENT = 1,   /* the call is wrong: a null pointer, a size, a stride */
  DINOMALY_BAD_INPUT = 2,      /* a file, an image or an option is */
  DINOMALY_INTERNAL_ERROR = 3, /* ours */
  DINOMALY_OUT_OF_MEMORY = 4
} dinomaly_status;

/* Why the last call on this thread that failed did: one line, never NULL, "" before any. Valid until the next call that fails on
 * this thread. */
DINOMALY_API const char* dinomaly_last_error(void);

/* --- A detector. */

typedef struct dinomaly_detector dinomaly_detector;

/* How to open a model. All bytes zero, but for `size`, ask for what `dinomaly predict` does without flags:
 *   dinomaly_options options = {0};
 *   options.size = sizeof options;
 * The members are named as the program's flags, and `dinomaly predict --help` explains them. */
typedef struct dinomaly_options {
  size_t size;                   /* sizeof(dinomaly_options): later versions have more members */
  const char* device;            /* "cpu", "cuda", "cuda:N", "auto"; NULL: "cpu" */
  const char* encoder;           /* weights of the encoder, for a model that was saved without; NULL: none */
  const char* area;              /* "whole" or "crop"; NULL: as the thresholds were found */
  const char* category;          /* whose thresholds; NULL: those of all */
  const double* threshold;       /* scores above are anomalous; NULL: the model's */
  const double* pixel_threshold; /* map values above form regions; NULL: the model's */
  int64_t tile;                  /* judge in tiles of so many pixels per side; 0: not */
  const int64_t* overlap;        /* pixels that tiles share; NULL: a quarter of a tile */
  int64_t min_area;              /* smallest region, in pixels; 0: a ten-thousandth of the inspected area */
  int64_t heads;                 /* attention heads; 0: as the file says */
  int64_t batch;                 /* tiles or crops that go through a GPU at a time; 0: 16 */
  int32_t threads; /* of the whole process; 0: as they are, at first one per processor. No result depends
                                    on it. Not to be changed while another thread judges. */
  int32_t fast;    /* not 0: refuse a model that is not one of `dinomaly train --fast` */
  const char*
      roi; /* what of an image counts: "X,Y,WIDTH,HEIGHT", several joined by '+', a mask file or "none"; NULL: as the
                                    thresholds were found */
} dinomaly_options;

/* Reads the model's file, whole: what becomes of it later changes nothing. options may be NULL. */
DINOMALY_API dinomaly_status dinomaly_open(const char* model, const dinomaly_options* options,
                                           dinomaly_detector** detector);
/* NULL does nothing. Results stay valid. */
DINOMALY_API void dinomaly_free(dinomaly_detector* detector);

/* How many channels its images have: 3, but 1 to 16 are possible. */
DINOMALY_API int64_t dinomaly_channels(const dinomaly_detector* detector);

/* --- An image. */

typedef struct dinomaly_result dinomaly_result;

/* A PNG, JPEG, TIFF, WebP, BMP, PNM or NPY file, turned as its EXIF orientation says. */
DINOMALY_API dinomaly_status dinomaly_predict_file(const dinomaly_detector* detector, const char* path,
                                                   dinomaly_result** result);
/* The bytes of such a file. They are read during the call only. */
DINOMALY_API dinomaly_status dinomaly_predict_encoded(const dinomaly_detector* detector, const void* bytes,
                                                      size_t size, dinomaly_result** result);
/* Pixels of 8 bits, channels interleaved, rows from the top, `stride` bytes from each to the next (at least width * channels).
 * channels: 3 (RGB), 1 (grey), 2 or 4 (the same with an alpha, which is dropped); a model of another number of channels takes that
 * number. They are read during the call only. */
DINOMALY_API dinomaly_status dinomaly_predict_pixels(const dinomaly_detector* detector, const uint8_t* pixels,
                                                     int64_t width, int64_t height, int64_t channels,
                                                     int64_t stride, dinomaly_result** result);
/* NULL does nothing. */
DINOMALY_API void dinomaly_result_free(dinomaly_result* result);

/* --- What was found. */

typedef enum dinomaly_decision {
  DINOMALY_UNDECIDED = -1, /* the model has no threshold, and none was given */
  DINOMALY_GOOD = 0,
  DINOMALY_ANOMALOUS = 1
} dinomaly_decision;

DINOMALY_API double dinomaly_result_score(const dinomaly_result* result);
DINOMALY_API dinomaly_decision dinomaly_result_decision(const dinomaly_result* result);
/* NaN without one. */
DINOMALY_API double dinomaly_result_threshold(const dinomaly_result* result);
DINOMALY_API double dinomaly_result_pixel_threshold(const dinomaly_result* result);

/* The anomaly map, of the image's size: height rows of width values. */
DINOMALY_API int64_t dinomaly_result_width(const dinomaly_result* result);
DINOMALY_API int64_t dinomaly_result_height(const dinomaly_result* result);
DINOMALY_API const float* dinomaly_result_map(const dinomaly_result* result);

/* 8-connected pixels above the threshold of pixels. */
typedef struct dinomaly_region {
  int64_t x, y, width, height;   /* the box around it */
  int64_t area;                  /* pixels */
  int64_t peak_x, peak_y;        /* where the map is highest */
  double peak;                   /* the map there */
  double centroid_x, centroid_y; /* a pixel's own coordinates being its centre */
} dinomaly_region;

/* Highest peak first; 0 without a threshold of pixels. */
DINOMALY_API size_t dinomaly_result_region_count(const dinomaly_result* result);
/* DINOMALY_BAD_ARGUMENT unless index < count. */
DINOMALY_API dinomaly_status dinomaly_result_region(const dinomaly_result* result, size_t index,
                                                    dinomaly_region* region);

/* All of it but the map: the line that `dinomaly predict --json` prints. "image" is the path, or "image". */
DINOMALY_API const char* dinomaly_result_json(const dinomaly_result* result);

#ifdef __cplusplus
}
#endif

#endif
