/** Of all packages together: of a member, as others see it, and of the program. */
export const version = '0.2.0-dev';
