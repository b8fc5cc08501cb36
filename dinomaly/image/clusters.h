// Clusters of points in space by their density: DBSCAN (Ester et al., KDD 1996), exactly.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

namespace dinomaly {

using Point3 = std::array<float, 3>;

// No coordinate may lie farther from 0 than so many radii.
inline constexpr double farthest_in_radii = 600000;

// For each point the number of its cluster, -1 where it belongs to none. Near is what is less than `radius` away. A core
// point is near `least` points, itself among them; core points that are near each other are of one cluster, and
// clusters are numbered in the order of their first core points. Other points near a core point belong to the first of
// the clusters that they are near.
std::vector<int32_t> dbscan(const std::vector<Point3>& points, double radius, int64_t least);

}  // namespace dinomaly
