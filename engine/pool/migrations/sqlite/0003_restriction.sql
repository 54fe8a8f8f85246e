-- Of each day's use, what counts towards the 3-day restriction (R1): the next run of a gateway, or another gateway,
-- goes on from there. NULL: reported by a version that counted nothing but `without_coupon_bytes`.
ALTER TABLE usage_day ADD COLUMN restricting_bytes INTEGER CHECK (restricting_bytes >= 0);
