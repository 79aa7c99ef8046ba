/* One source for two small libraries: libshim-inner.so and libshim-late.so. */
int inner_value(void);
int late_value(void);
int inner_value(void) { return 41; }
int late_value(void) { return 43; }
