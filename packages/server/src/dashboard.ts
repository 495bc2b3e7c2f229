export const dashboardPolicy = "default-src 'none'";
export const dashboardPage = "";
