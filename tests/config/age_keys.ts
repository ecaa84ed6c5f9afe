/** Keys made for these tests by the `age-encryption` package; they protect nothing. */

export const IDENTITY = "AGE-SECRET-KEY-1TZHA2J85W9M4ZVASZNUUFNNX4MHYMK3LXZM2C834JPKZ8ZG4QDFQNCT2L5";
export const OTHER_IDENTITY = "AGE-SECRET-KEY-180NGHRF9J34M9SLU5C74S09895Z8MR8P4ZH4FRLW682WV2FDGE3QDCPA4Y";
export const RECIPIENT = "age16d7ajw29an52kwyyfqf304hkz0ssp34lxm8ktaad05qtvgklxv0qppjfkl";
export const OTHER_RECIPIENT = "age1d6vtrut9lp04ggg5k3dqk9y63ye3lx6tm3dp46wsuev0q5msefqq66ks96";
